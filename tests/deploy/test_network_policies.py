"""Where network policies are switched on, nothing is open that is not meant to be, and all that is meant to be is."""

import pytest

from tests.deploy.manifests import (
    COMBINATIONS,
    WORKLOADS,
    Manifest,
    build,
    components,
    name,
    of_kind,
    pod_labels,
    pod_of,
    selects,
)

CLOSED = [each for each in COMBINATIONS if "network-policies" in components(each)]


@pytest.mark.parametrize("combination", CLOSED)
def test_services_have_a_network_policy(combination: str) -> None:
    objects = build(combination)
    policies = list(of_kind(objects, "NetworkPolicy"))
    assert any(p["spec"]["podSelector"] == {} and "ingress" not in p["spec"] for p in policies), "no default deny"
    for workload in of_kind(objects, *WORKLOADS):
        opened = _opened(policies, workload)
        declared = {port["name"] for c in pod_of(workload)["containers"] for port in c["ports"]}
        assert opened == declared, name(workload)


def test_nodes_of_a_cluster_reach_each_other() -> None:
    objects = build("tests/redis-cluster-locked-down")
    nodes = next(each for each in of_kind(objects, "StatefulSet") if name(each) == "siftline-redis-cluster")
    own = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "redis-cluster"}}}
    assert selects(own["podSelector"], pod_labels(nodes))
    policies = [p["spec"] for p in of_kind(objects, "NetworkPolicy")]
    policies = [spec for spec in policies if spec["podSelector"] and selects(spec["podSelector"], pod_labels(nodes))]
    for way, peers in (("ingress", "from"), ("egress", "to")):
        open_ = [rule["ports"] for spec in policies for rule in spec.get(way, []) if own in rule[peers]]
        assert open_ == [[{"port": "redis"}, {"port": "bus"}]]
    lookups = [port for spec in policies for rule in spec.get("egress", []) for port in rule["ports"]]
    assert {"protocol": "UDP", "port": 53} in lookups


def _opened(policies: list[Manifest], workload: Manifest) -> set[str]:
    """Ports of a workload that some policy lets others in to; each of them says whom."""
    found = set()
    for policy in policies:
        spec = policy["spec"]
        if spec["podSelector"] and selects(spec["podSelector"], pod_labels(workload)):
            for rule in spec.get("ingress", []):
                assert rule["from"], name(policy)
                found |= {port["port"] for port in rule["ports"]}
    return found


@pytest.mark.parametrize("combination", CLOSED)
def test_the_gateway_may_call_whom_it_has_to(combination: str) -> None:
    """Egress of the gateway meets ingress of the others: the same ports, and DNS to find them."""
    objects = build(combination)
    policies = list(of_kind(objects, "NetworkPolicy"))
    gateway = next(each for each in of_kind(objects, *WORKLOADS) if name(each) == "siftline-gateway")
    rules = [
        rule
        for policy in policies
        if selects(policy["spec"]["podSelector"], pod_labels(gateway))
        for rule in policy["spec"].get("egress", [])
    ]
    assert {"protocol": "UDP", "port": 53} in [port for rule in rules for port in rule["ports"]]
    for other in of_kind(objects, *WORKLOADS):
        if other is not gateway:
            wanted = "redis" if "redis" in name(other) else "grpc"
            reached = [
                port["port"]
                for rule in rules
                for peer in rule["to"]
                if "podSelector" in peer and selects(peer["podSelector"], pod_labels(other))
                for port in rule["ports"]
            ]
            assert reached == [wanted], name(other)
