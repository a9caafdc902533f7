"""The settings in the manifests are settings that the deployables have."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic_settings import BaseSettings

from gateway.settings import GatewaySettings
from services.embed.settings import EmbedSettings
from services.rerank.settings import RerankSettings
from tests.deploy.manifests import COMBINATIONS, build, components, containers, environment, name, of_kind

SETTINGS: dict[str, type[BaseSettings]] = {
    "siftline-embed": EmbedSettings,
    "siftline-rerank": RerankSettings,
    "siftline-gateway": GatewaySettings,
}


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("owner", SETTINGS)
def test_settings_are_known_and_valid(combination: str, owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [each for each in os.environ if each.startswith("SIFTLINE_")]:
        monkeypatch.delenv(variable)
    kind = SETTINGS[owner]
    prefix = str(kind.model_config["env_prefix"])
    objects = build(combination)
    container = next(each for each in containers(objects) if each.owner == owner)
    variables = {key: value for key, value in environment(container, objects).items() if key.startswith("SIFTLINE_")}
    known = {(prefix + field).upper() for field in kind.model_fields}
    assert variables.keys() <= known
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    settings = kind(_cli_parse_args=False)
    assert str(getattr(settings, "listen")).startswith("0.0.0.0:")  # noqa: B009


def test_model_services_listen_where_the_gateway_looks() -> None:
    objects = build("overlays/prod")
    by_owner = {each.owner: environment(each, objects) for each in containers(objects)}
    for service in ("EMBED", "RERANK"):
        target = by_owner["siftline-gateway"][f"SIFTLINE_GATEWAY_{service}"]
        host, _, port = target.removeprefix("dns:///").rpartition(":")
        assert by_owner[host][f"SIFTLINE_{service}_LISTEN"] == f"0.0.0.0:{port}"


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_the_gateway_looks_for_a_redis_that_is_there(combination: str) -> None:
    objects = build(combination)
    gateway = next(each for each in containers(objects) if each.owner == "siftline-gateway")
    services = {name(each) for each in of_kind(objects, "Service")}
    urls = [environment(gateway, objects)[f"SIFTLINE_GATEWAY_{use}_URL"] for use in ("CACHE", "INDEX")]
    assert {str(urlsplit(url).hostname) for url in urls} == {each for each in services if "redis" in each}
    assert urls[0].startswith("cluster+") == ("redis-cluster" in components(combination))


@pytest.mark.parametrize("combination", [each for each in COMBINATIONS if "redis-password" in components(each)])
def test_a_password_reaches_both_ends(combination: str) -> None:
    objects = build(combination)
    for container in containers(objects):
        if "redis" in container.owner:
            assert container.spec["args"][-2:] == ["--requirepass", "$(REDISCLI_AUTH)"]
            clustered = container.owner == "siftline-redis-cluster"
            assert container.spec["args"][-4:-2] == ["--masterauth", "$(REDISCLI_AUTH)"] or not clustered
            assert "REDISCLI_AUTH" in environment(container, objects)
        if container.owner == "siftline-gateway":
            variables = environment(container, objects)
            for url in ("SIFTLINE_GATEWAY_CACHE_URL", "SIFTLINE_GATEWAY_INDEX_URL"):
                assert ":$(REDIS_PASSWORD)@" in variables[url]


def test_the_keys_file_is_in_a_mounted_secret() -> None:
    objects = build("overlays/prod")
    gateway = next(each for each in containers(objects) if each.owner == "siftline-gateway")
    file = Path(environment(gateway, objects)["SIFTLINE_GATEWAY_KEYS_FILE"])
    mounts = {mount["mountPath"]: mount["name"] for mount in gateway.spec["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in gateway.pod["volumes"]}
    assert "secret" in volumes[mounts[str(file.parent)]]
