"""The inventory lists what is locked, and the audit says what it was told: by a database, or by none."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.programs import program
from tests.running.model_service import free_port
from tools.supply_chain import IMAGES, audit, locked, sbom

ENVIRONMENT = "supply-venv"
WRONG = "redis"


@contextmanager
def advisories(known: dict[str, str]) -> Iterator[str]:
    """URL of a database that answers as OSV does: id of an advisory by the package that has it, fixed in 999."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["package"]["name"]
            ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}]
            affected = [{"package": {"name": asked, "ecosystem": "PyPI"}, "ranges": ranges}]
            told = {"vulns": [{"id": known[asked], "details": "", "affected": affected}]} if asked in known else {}
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asking(url: str) -> tuple[str, ...]:
    return ("--vulnerability-service=osv", f"--osv-url={url}")


def test_the_inventory_lists_what_is_locked_with_its_hashes(tmp_path: Path) -> None:
    program("cyclonedx-py", "the wheel cyclonedx-bom", ENVIRONMENT)
    sbom(tmp_path)
    for image in IMAGES:
        listed = json.loads((tmp_path / f"{image}.cdx.json").read_text())
        assert listed["bomFormat"] == "CycloneDX"
        assert {each["name"]: each["version"] for each in listed["components"]} == locked(image)
        hashes = {
            hash_["content"] for c in listed["components"] for ref in c["externalReferences"] for hash_ in ref["hashes"]
        }
        text = Path(f"requirements/{image}.txt").read_text()
        assert hashes == {part.rpartition(":")[2] for part in text.split() if part.startswith("--hash=")}


def test_nothing_is_known_against_what_is_locked(capsys: pytest.CaptureFixture[str]) -> None:
    program("pip-audit", "the wheel pip-audit", ENVIRONMENT)
    with advisories({}) as url:
        assert audit(asking(url)) == 0
    packages = set().union(*map(locked, IMAGES))
    assert capsys.readouterr().out == f"audit: 0 advisories for {len(packages)} packages in the images\n"


def test_an_advisory_fails_it(capsys: pytest.CaptureFixture[str]) -> None:
    program("pip-audit", "the wheel pip-audit", ENVIRONMENT)
    with advisories({WRONG: "PYSEC-0000-1"}) as url:
        assert audit(asking(url)) == 1
    assert f"{WRONG} {locked('gateway')[WRONG]}: PYSEC-0000-1, fixed in 999\n" in capsys.readouterr().out


def test_without_a_database_it_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    program("pip-audit", "the wheel pip-audit", ENVIRONMENT)
    assert audit(asking(f"http://127.0.0.1:{free_port()}")) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("audit: NOTHING WAS CHECKED, no advisory database answers: ")
    assert said.err.count("\n") == 1
