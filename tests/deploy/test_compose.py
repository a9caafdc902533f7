"""The compose files keep the rules that the manifests keep; their settings are settings that the deployables have."""

import os
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from gateway.settings import GatewaySettings
from services.embed.settings import EmbedSettings
from services.rerank.settings import RerankSettings
from tests.deploy.programs import ROOT
from tests.running.model_service import RunningService, free_port

COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SETTINGS: dict[str, type[BaseSettings]] = {"embed": EmbedSettings, "rerank": RerankSettings, "gateway": GatewaySettings}


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert re.search(r":(?!latest)[\w.-]+$", service["image"])
    assert "build" in service or "user" in service, "ours say in the Dockerfile who they run as"


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_known_and_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [each for each in os.environ if each.startswith("SIFTLINE_")]:
        monkeypatch.delenv(variable)
    kind = SETTINGS[name]
    known = {f"{kind.model_config['env_prefix']}{field}".upper() for field in kind.model_fields}
    environment = SERVICES[name]["environment"]
    assert environment.keys() <= known
    for key, value in environment.items():
        monkeypatch.setenv(key, str(value))
    kind(_cli_parse_args=False)


def test_the_gateway_looks_where_the_others_listen() -> None:
    variables = SERVICES["gateway"]["environment"]
    for service in ("embed", "rerank"):
        port = SERVICES[service]["environment"][f"SIFTLINE_{service.upper()}_LISTEN"].rpartition(":")[2]
        assert variables[f"SIFTLINE_GATEWAY_{service.upper()}"] == f"{service}:{port}"
    for role in ("cache", "index"):
        assert f"redis-{role}:6379" in variables[f"SIFTLINE_GATEWAY_{role.upper()}_URL"]
        assert f"redis-{role}" in SERVICES


def test_calls_in_flight_outlive_a_stop() -> None:
    for name in SETTINGS:
        drain = SERVICES[name]["environment"][f"SIFTLINE_{name.upper()}_DRAIN_SECONDS"]
        assert drain < int(SERVICES[name]["stop_grace_period"].removesuffix("s"))


def test_only_the_gateway_is_reachable_and_only_from_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:50050:50050", "127.0.0.1:8080:8080"]}


def test_the_overlay_with_gpus_changes_services_that_there_are() -> None:
    overlay = yaml.safe_load((ROOT / "deploy/compose.gpu.yaml").read_text())
    assert overlay["services"].keys() <= SERVICES.keys()


def test_the_health_check_tells_a_service_that_serves_from_none(embed_service: RunningService) -> None:
    script = SERVICES["embed"]["healthcheck"]["test"][-1]

    def status(address: str) -> int:
        command = (sys.executable, "-c", script.replace("127.0.0.1:50051", address))
        return subprocess.run(command, capture_output=True).returncode

    assert script.count("127.0.0.1:50051") == 1
    assert status(embed_service.address) == 0
    assert status(f"127.0.0.1:{free_port()}") != 0
