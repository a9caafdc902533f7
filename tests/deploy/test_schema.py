"""Every combination builds, and every object is what the Kubernetes API of two versions takes, to the letter."""

import json

import kubernetes_validate
import pytest
import yaml

from tests.deploy.manifests import COMBINATIONS, K8S, Manifest, build, name

# preStop.sleep is on by default from the first; the second is the newest that the validator knows.
VERSIONS = ("1.32", "1.37")

# Not part of Kubernetes, so the validator has no schema for them. tests/deploy/test_custom_resources.py looks at what
# they refer to.
CUSTOM_RESOURCES = {
    "cert-manager.io/v1 Certificate": "comes with cert-manager",
    "cert-manager.io/v1 Issuer": "comes with cert-manager",
    "keda.sh/v1alpha1 ScaledObject": "comes with the KEDA operator",
    "monitoring.coreos.com/v1 ServiceMonitor": "comes with the Prometheus operator",
    "monitoring.coreos.com/v1 PrometheusRule": "comes with the Prometheus operator; promtool checks its rules",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(version: str) -> None:
    built = [each for combination in COMBINATIONS for each in build(combination)]
    built += [yaml.safe_load((K8S / file).read_text()) for file in ("fill-models.yaml", "rollout-job.yaml")]
    distinct = {json.dumps(each, sort_keys=True): each for each in built}
    for manifest in distinct.values():
        if _kind(manifest) not in CUSTOM_RESOURCES:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_is_found() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"clusterip": "None"}}
    with pytest.raises(kubernetes_validate.ValidationError, match="clusterip"):
        kubernetes_validate.validate(service, VERSIONS[0], strict=True)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_no_object_is_there_twice(combination: str) -> None:
    names = [(_kind(each), name(each)) for each in build(combination)]
    assert len(names) == len(set(names))


def test_every_component_is_in_a_combination() -> None:
    used = {each.name for each in (K8S / "components").iterdir()}
    listed = {
        line.rpartition("/")[2]
        for combination in COMBINATIONS
        for line in (K8S / combination / "kustomization.yaml").read_text().splitlines()
        if "components/" in line
    }
    assert listed == used


def test_every_listed_custom_resource_is_in_use() -> None:
    found = {_kind(each) for combination in COMBINATIONS for each in build(combination)}
    assert found >= CUSTOM_RESOURCES.keys()


def _kind(manifest: Manifest) -> str:
    return f"{manifest['apiVersion']} {manifest['kind']}"
