"""checkov's rules over every combination; what it asks for and does not get is listed, with the reason."""

import json
from collections import defaultdict

import pytest
import yaml

from tests.deploy.manifests import COMBINATIONS, K8S, build
from tests.deploy.programs import program, run

EXCEPTIONS = yaml.safe_load((K8S / "tests/checkov.yaml").read_text())


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """By check, the objects (Kind name) that fail it in some combination."""
    checkov = program("checkov", "the wheel checkov", "checkov-venv")
    folder = tmp_path_factory.mktemp("manifests")
    seen: set[str] = set()
    for combination in COMBINATIONS:
        distinct = {json.dumps(each, sort_keys=True): each for each in build(combination)}
        new = [each for key, each in distinct.items() if key not in seen]
        seen |= distinct.keys()
        (folder / f"{combination.replace('/', '-')}.yaml").write_text(yaml.safe_dump_all(new))
    flags = ("--framework=kubernetes", "--output=json", "--soft-fail", "--quiet", "--compact", "--skip-download")
    report = json.loads(run(checkov, *flags, "--directory", folder))
    assert report["summary"]["passed"] > 1000
    assert not report["summary"]["parsing_errors"]
    found = defaultdict(set)
    for each in report["results"]["failed_checks"]:
        kind, _, name = each["resource"].split(".")[:3]
        found[each["check_id"]].add(f"{kind} {name}")
    return found


def test_every_failed_check_is_an_exception(failed: dict[str, set[str]]) -> None:
    excepted = {check: set(each["objects"]) for check, each in EXCEPTIONS.items()}
    assert not [f"{check} {each}" for check, objects in failed.items() for each in objects - excepted.get(check, set())]


def test_every_exception_is_needed_and_has_a_reason(failed: dict[str, set[str]]) -> None:
    for check, each in EXCEPTIONS.items():
        assert set(each["objects"]) <= failed[check], check
        assert each["reason"], check
