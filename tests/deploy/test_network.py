"""Who reaches whom by the network policies: exactly what is needed. A connection needs leave of both its ends."""

from collections.abc import Iterator

import pytest
from kustomized import RENDERED, Manifest, containers, labels, of, pods, selects

PORTS = {"gateway": 3000, "product": 3000, "others": 3000, "imagegen": 3000, "mlflow": 5000, "postgres": 5432, "minio": 9000}
MODELS = ("product", "others", "imagegen")
STORED = ("gateway", *MODELS, "worker", "migrate", "mlflow")
"""Who asks the database."""
DNS = "kube-dns"
ANYBODY, PROMETHEUS, TRAINING = "anybody", "Prometheus", "training"
"""Pods elsewhere: of a namespace without labels, and of those with the labels that the page tells of."""
ELSEWHERE = {ANYBODY: {}, PROMETHEUS: {"vitrina/observes": "true"}, TRAINING: {"vitrina/trains": "true"}}
NAMESPACE = {"kubernetes.io/metadata.name": "vitrina"}

each = pytest.mark.parametrize("name", RENDERED)


def numbers(template: Manifest | None, port: int | str) -> set[int]:
    """What a policy's port is at a pod, or anywhere outside."""
    if isinstance(port, int):
        return {port}
    assert template is not None, "an address outside has no named ports"
    return {said["containerPort"] for inside in containers(template) for said in inside.get("ports", []) if said["name"] == port}


def takes(peer: Manifest, namespace: dict[str, str], labelled: dict[str, str]) -> bool:
    """Whether a peer of a rule is that pod of that namespace."""
    assert set(peer) <= {"podSelector", "namespaceSelector"}
    within = selects(peer["namespaceSelector"], namespace) if "namespaceSelector" in peer else namespace == NAMESPACE
    return within and selects(peer.get("podSelector", {}), labelled)


def rules(name: str, pod: str, direction: str) -> list[Manifest]:
    """Of all policies that take the pod; there is always one, which denies."""
    taken = [
        policy["spec"]
        for policy in of(name, "NetworkPolicy").values()
        if selects(policy["spec"]["podSelector"], labels(pods(name)[pod])) and direction in policy["spec"]["policyTypes"]
    ]
    assert taken, pod
    return [rule for spec in taken for rule in spec.get(direction.lower(), [])]


def opens(rule: Manifest, side: str, namespace: dict[str, str], labelled: dict[str, str], target: Manifest | None) -> set[int]:
    """Ports that a rule opens for that peer."""
    if side in rule and not any(takes(peer, namespace, labelled) for peer in rule[side]):
        return set()
    return {number for port in rule["ports"] for number in numbers(target, port["port"])}


def connections(name: str) -> Iterator[tuple[str, str, int]]:
    """From, to and port of each connection between two pods of ours that both ends allow."""
    for source, sender in pods(name).items():
        for target, receiver in pods(name).items():
            leaving = [opens(rule, "to", NAMESPACE, dict(labels(receiver)), receiver) for rule in rules(name, source, "Egress")]
            entering = [opens(rule, "from", NAMESPACE, dict(labels(sender)), receiver) for rule in rules(name, target, "Ingress")]
            listens = {port["containerPort"] for inside in containers(receiver) for port in inside.get("ports", [])}
            yield from ((source, target, port) for port in set().union(*leaving) & set().union(*entering) & listens)


@pytest.mark.slow
@each
def test_pods_reach_what_they_need_and_nothing_else(name: str) -> None:
    wanted = {("gateway", model) for model in MODELS}
    wanted |= {(asking, "mlflow") for asking in (*MODELS, "worker")}
    if "laptop" in name:
        wanted |= {(asking, "postgres") for asking in STORED}
        wanted |= {("mlflow", "minio"), ("worker", "minio"), ("bucket", "minio")}
    assert set(connections(name)) == {(source, target, PORTS[target]) for source, target in wanted}


@each
def test_everybody_may_ask_for_names(name: str) -> None:
    system, labelled = {"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"}
    for pod in pods(name):
        opened = [opens(rule, "to", system, labelled, None) for rule in rules(name, pod, "Egress") if "to" in rule]
        assert 53 in set().union(*opened) if opened else False, pod


@each
def test_who_is_elsewhere_reaches_the_gateway_and_with_a_label_what_it_is_for(name: str) -> None:
    wanted = {who: {"gateway"} for who in ELSEWHERE}
    wanted[PROMETHEUS] |= set(MODELS)
    wanted[TRAINING] |= {"mlflow"} | ({"postgres", "minio"} if "laptop" in name else set())
    for who, namespace in ELSEWHERE.items():
        reached = {
            pod
            for pod, template in pods(name).items()
            if any(opens(rule, "from", namespace, {}, template) for rule in rules(name, pod, "Ingress"))
        }
        assert reached == wanted[who], who


@each
def test_addresses_outside_are_reached_for_what_is_named_by_reference_alone(name: str) -> None:
    """A rule that names no peer opens its ports to every address."""
    opened = {
        pod: {port["port"] for rule in rules(name, pod, "Egress") if "to" not in rule for port in rule["ports"]}
        for pod in pods(name)
    }
    if "laptop" in name:
        assert set().union(*opened.values()) == set()
        return
    wanted = {pod: {5432} for pod in STORED}
    wanted["mlflow"] |= {443}
    wanted["worker"] |= {443, 8080}
    assert opened == wanted


@each
def test_whatever_is_not_named_is_denied_both_ways(name: str) -> None:
    assert of(name, "NetworkPolicy")["nobody"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@each
def test_each_policy_takes_a_pod(name: str) -> None:
    for policy, manifest in of(name, "NetworkPolicy").items():
        assert any(selects(manifest["spec"]["podSelector"], labels(template)) for template in pods(name).values()), policy
