"""kmock's API server of Kubernetes on 127.0.0.1: it keeps what is applied, and says which resources there are.

It checks no field, starts nothing, and takes a path to a namespace itself for one without a resource: those are not applied here.
"""

import asyncio
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from kmock import KubernetesEmulator, ResourceInfo, Server, resource

STARTS_WITHIN = 60.0
VERBS = {"get", "list", "watch", "create", "update", "patch", "delete"}
CLUSTER = {"scheduling.k8s.io/v1/priorityclasses": "PriorityClass"}
NAMESPACED = {
    "v1/configmaps": "ConfigMap",
    "v1/services": "Service",
    "v1/serviceaccounts": "ServiceAccount",
    "apps/v1/deployments": "Deployment",
    "apps/v1/statefulsets": "StatefulSet",
    "batch/v1/jobs": "Job",
    "autoscaling/v2/horizontalpodautoscalers": "HorizontalPodAutoscaler",
    "policy/v1/poddisruptionbudgets": "PodDisruptionBudget",
    "networking.k8s.io/v1/networkpolicies": "NetworkPolicy",
    "keda.sh/v1alpha1/scaledobjects": "ScaledObject",
    "kubeflow.org/v1/pytorchjobs": "PyTorchJob",
    "trainer.kubeflow.org/v1alpha1/trainingruntimes": "TrainingRuntime",
    "trainer.kubeflow.org/v1alpha1/trainjobs": "TrainJob",
}


@contextmanager
def api_server(kubeconfig: Path) -> Iterator[str]:
    """Its address; `kubeconfig` is written, for whatever client reads one."""
    started, stop, told = threading.Event(), asyncio.Event(), list[str]()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with KubernetesEmulator() as kubernetes, Server(kubernetes) as server:
            for kinds, namespaced in ((CLUSTER, False), (NAMESPACED, True)):
                for path, kind in kinds.items():
                    info = ResourceInfo(kind=kind, singular=kind.lower(), namespaced=namespaced, verbs=VERBS)
                    kubernetes.resources[resource(path)] = info
            kubernetes["get /api/v1"] << _core()
            told.append(str(server.url).rstrip("/"))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(STARTS_WITHIN), "the API server did not start"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(told[0])))
        yield told[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(STARTS_WITHIN)


def apply(program: str, kubeconfig: Path, objects: Iterable[object]) -> dict[str, str]:
    """What `kubectl apply` says of each object; namespaces are left out."""
    kept = [one for one in objects if isinstance(one, dict) and one["kind"] != "Namespace"]
    command = [program, "--kubeconfig", str(kubeconfig), "--cache-dir", str(kubeconfig.parent / "cache")]
    done = subprocess.run(
        [*command, "apply", "--validate=false", "--filename", "-"],  # it would ask for schemas, of which there are none
        input=yaml.safe_dump_all(kept),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert len(said) == len(kept)
    return said


def _core() -> dict[str, object]:
    """What is said of the group without a name, which kmock calls "/v1"."""
    kinds = {path.removeprefix("v1/"): kind for path, kind in NAMESPACED.items() if path.startswith("v1/")}
    listed = [
        {"name": name, "kind": kind, "singularName": kind.lower(), "namespaced": True, "verbs": sorted(VERBS)}
        for name, kind in kinds.items()
    ]
    return {"kind": "APIResourceList", "groupVersion": "v1", "resources": listed}


def _kubeconfig(address: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": address}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody", "namespace": "default"}}],
        "current-context": "here",
    }
