"""Rules that every pod of every combination keeps."""

import re
from collections.abc import Callable

import pytest

from tests.deploy.manifests import (
    COMBINATIONS,
    WORKLOADS,
    Container,
    build,
    containers,
    environment,
    name,
    of_kind,
    pod_labels,
    pod_of,
    selects,
)

pytestmark = pytest.mark.parametrize("combination", COMBINATIONS)

LONGEST_DEADLINE = 30.0  # what the gateway gives a call whose caller set none


def _each(combination: str, holds: Callable[[Container], object]) -> None:
    broken = [str(each) for each in containers(build(combination)) if not holds(each)]
    assert not broken


def test_containers_have_requests_and_limits(combination: str) -> None:
    needed = {"cpu", "memory"}
    _each(combination, lambda c: all(needed <= c.spec["resources"][kind].keys() for kind in ("requests", "limits")))


def test_memory_is_guaranteed(combination: str) -> None:
    """A container that may use more than it asked for is killed when a neighbour wants its own."""
    for container in containers(build(combination)):
        if container.owner in ("siftline-embed", "siftline-rerank") or "redis" in container.owner:
            resources = container.spec["resources"]
            assert resources["requests"]["memory"] == resources["limits"]["memory"], container


def test_containers_have_all_probes(combination: str) -> None:
    _each(combination, lambda c: {"startupProbe", "readinessProbe", "livenessProbe"} <= c.spec.keys())


def test_liveness_is_not_readiness(combination: str) -> None:
    """A process that waits for another must not be restarted for it."""
    _each(combination, lambda c: c.spec["livenessProbe"] != c.spec["readinessProbe"])
    for container in containers(build(combination)):
        probe = container.spec["livenessProbe"]
        assert "tcpSocket" in probe or probe["grpc"]["service"] == "live", container


def test_pods_meet_the_restricted_standard(combination: str) -> None:
    def restricted(container: Container) -> bool:
        pod, own = container.pod["securityContext"], container.spec["securityContext"]
        return (
            pod["runAsNonRoot"] is True
            and pod["runAsUser"] > 0
            and pod["seccompProfile"] == {"type": "RuntimeDefault"}
            and own["allowPrivilegeEscalation"] is False
            and own["capabilities"] == {"drop": ["ALL"]}
        )

    _each(combination, restricted)


def test_root_file_systems_are_read_only(combination: str) -> None:
    _each(combination, lambda c: c.spec["securityContext"]["readOnlyRootFilesystem"] is True)


def test_scratch_space_is_bounded(combination: str) -> None:
    for workload in of_kind(build(combination), *WORKLOADS):
        for volume in pod_of(workload).get("volumes", []):
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""}), (name(workload), volume["name"])


def test_models_are_mounted_read_only(combination: str) -> None:
    for container in containers(build(combination)):
        for mount in container.spec.get("volumeMounts", []):
            assert mount["name"] != "models" or mount["readOnly"], container


def test_shared_memory_is_there_for_triton(combination: str) -> None:
    for container in containers(build(combination)):
        if container.owner in ("siftline-embed", "siftline-rerank"):
            assert "/dev/shm" in {mount["mountPath"] for mount in container.spec["volumeMounts"]}


def test_images_have_a_version(combination: str) -> None:
    _each(combination, lambda c: re.search(r"(:(?!latest)[\w.-]+|@sha256:[0-9a-f]{64})$", c.spec["image"]))


def test_an_image_has_one_version(combination: str) -> None:
    images = {each.spec["image"] for each in containers(build(combination))}
    assert len({re.split("[:@]", each)[0] for each in images}) == len(images)


def test_pods_get_no_token_and_no_service_variables(combination: str) -> None:
    for workload in of_kind(build(combination), *WORKLOADS):
        pod = pod_of(workload)
        assert pod["automountServiceAccountToken"] is False, name(workload)
        assert pod["enableServiceLinks"] is False, name(workload)
        assert pod["serviceAccountName"] == name(workload)


def test_workloads_have_a_disruption_budget(combination: str) -> None:
    objects = build(combination)
    for workload in of_kind(objects, *WORKLOADS):
        budgets = [
            b for b in of_kind(objects, "PodDisruptionBudget") if selects(b["spec"]["selector"], pod_labels(workload))
        ]
        assert len(budgets) == 1, name(workload)
        assert budgets[0]["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "a broken pod would hold up a drain"


def test_replicas_are_spread(combination: str) -> None:
    """All that can have more than one: they name both topologies, and select their own pods."""
    for workload in of_kind(build(combination), *WORKLOADS):
        if name(workload) in ("siftline-redis-cache", "siftline-redis-index"):
            continue
        spread = pod_of(workload)["topologySpreadConstraints"]
        keys = {each["topologyKey"] for each in spread}
        assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        for each in spread:
            assert each["labelSelector"].get("matchLabels"), name(workload)
            assert selects(each["labelSelector"], pod_labels(workload))


def test_calls_in_flight_outlive_a_pod_that_leaves(combination: str) -> None:
    """preStop + drain fit the grace period, and the drain is longer than any deadline that we set."""
    objects = build(combination)
    for container in containers(objects):
        drain = [value for key, value in environment(container, objects).items() if key.endswith("_DRAIN_SECONDS")]
        if "redis" in container.owner:
            continue
        sleep = container.spec["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert float(drain[0]) > LONGEST_DEADLINE
        assert sleep + float(drain[0]) < container.pod["terminationGracePeriodSeconds"]


def test_services_select_pods_and_name_their_ports(combination: str) -> None:
    objects = build(combination)
    for service in of_kind(objects, "Service"):
        chosen = [
            w
            for w in of_kind(objects, *WORKLOADS)
            if selects({"matchLabels": service["spec"]["selector"]}, pod_labels(w))
        ]
        assert [name(each) for each in chosen] == [name(service)]
        ports = {port["name"]: port["containerPort"] for c in pod_of(chosen[0])["containers"] for port in c["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


def test_grpc_services_are_headless(combination: str) -> None:
    """One connection through a virtual address would end at one pod."""
    for service in of_kind(build(combination), "Service"):
        grpc = any(port["name"] == "grpc" for port in service["spec"]["ports"])
        assert not grpc or service["spec"]["clusterIP"] == "None", name(service)


def test_autoscaled_workloads_leave_replicas_to_the_autoscaler(combination: str) -> None:
    objects = build(combination)
    targets = {
        each["spec"]["scaleTargetRef"]["name"] for each in of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")
    }
    workloads = {name(each): each for each in of_kind(objects, *WORKLOADS)}
    assert targets <= workloads.keys()
    for target in targets:
        assert "replicas" not in workloads[target]["spec"]


def test_every_object_says_that_it_is_ours(combination: str) -> None:
    """`kubectl get all -l app.kubernetes.io/part-of=siftline` finds everything, in one namespace."""
    for manifest in build(combination):
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "siftline", name(manifest)
