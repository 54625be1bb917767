"""The loopback Kubeflow is strict: Kubeflow's own client submits to it, and what it is not told, its pods do not have."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kfp import Client, compiler, dsl, kubernetes
from services import until

from loopback.api import KubeflowApi, kubeflow
from loopback.pods import RUN_LABEL
from loopback.runs import ENDED, Node, Run

Wish = Callable[[Any], Any]
SAY = "import json, os, pathlib; pathlib.Path('told').write_text(json.dumps([dict(os.environ), os.getcwd()]))"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubeflowApi]:
    claim = tmp_path / "claims" / "kept"
    claim.mkdir(parents=True)
    with kubeflow(Node(tmp_path, {"keys": {"key": "k3y"}}, {"kept": claim}, at_once=2)) as started:
        yield started


def compiled(path: Path, wish: Wish, **code: str) -> str:
    """A specification of pods that run Python code, each after the one before it; `wish` is asked of each."""

    def graph() -> None:
        before: list[Any] = []
        for name, text in code.items():
            task = _pod(name, text)().after(*before)
            wish(task)
            before = [task]

    compiler.Compiler().compile(dsl.pipeline(name="graph")(graph), str(path))
    return str(path)


def _pod(name: str, text: str) -> Any:
    def pod() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="none", command=["python"], args=["-c", text])

    pod.__name__ = name
    return dsl.container_component(pod)


def submit(api: KubeflowApi, tmp_path: Path, wish: Wish = lambda task: None, **code: str) -> tuple[Client, str]:
    client = Client(host=api.address)
    package = compiled(tmp_path / "graph.yaml", wish, **code)
    return client, client.create_run_from_pipeline_package(package, run_name="graph", enable_caching=False).run_id


def ended(api: KubeflowApi, run_id: str) -> Run:
    run = api.runs.all[run_id]
    until(lambda: run.state in ENDED, told=lambda: f"{run.tasks}")
    return run


def test_a_pod_has_what_the_specification_gives_and_nothing_else(
    api: KubeflowApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINA_HOME", "/not/told")

    def wish(task: Any) -> None:
        task.set_env_variable("NAME", dsl.PIPELINE_JOB_NAME_PLACEHOLDER)  # Kubeflow replaces it in inputs alone
        kubernetes.use_field_path_as_env(task, "RUN", RUN_LABEL)
        kubernetes.use_secret_as_env(task, "keys", {"key": "KEY"})
        kubernetes.mount_pvc(task, "kept", str(tmp_path / "mounted"))

    client, run_id = submit(api, tmp_path, wish, first=SAY, second=f"open({str(tmp_path / 'mounted' / 'x')!r}, 'w').write('y')")
    run = ended(api, run_id)
    assert (run.state, run.tasks) == ("SUCCEEDED", {"first": "SUCCEEDED", "second": "SUCCEEDED"}), run.log("first").read_text()
    told, folder = json.loads((run.folder / "first" / "told").read_text())
    assert {name: value for name, value in told.items() if name not in ("PATH", "PYTHONPATH", "LC_CTYPE")} == {
        "HOME": folder,
        "NAME": "{{$.pipeline_job_name}}",
        "RUN": run_id,
        "KEY": "k3y",
    }
    assert (tmp_path / "claims" / "kept" / "x").read_text() == "y"
    shown = client.get_run(run_id)
    assert [step.state for step in shown.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    tasks = {task.display_name: task for task in shown.run_details.task_details}
    assert tasks["first"].end_time <= tasks["second"].start_time
    assert "k3y" not in json.dumps(run.submitted)


def test_what_comes_after_a_pod_that_failed_is_not_started(api: KubeflowApi, tmp_path: Path) -> None:
    client, run_id = submit(api, tmp_path, first="pass", second="print('so it was'); raise SystemExit(3)", third="pass")
    run = ended(api, run_id)
    assert (run.state, run.tasks) == ("FAILED", {"first": "SUCCEEDED", "second": "FAILED", "third": "SKIPPED"})
    assert run.log("second").read_text() == "so it was\n"
    assert client.get_run(run_id).error.message == "second: main: Error (exit code 3)"


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (lambda task: kubernetes.use_secret_as_env(task, "none", {"key": "KEY"}), "no key key in secret none"),
        (lambda task: kubernetes.mount_pvc(task, "none", "/data"), "persistentvolumeclaim none not found"),
        (lambda task: kubernetes.mount_pvc(task, "kept", "/usr"), "claim kept cannot be mounted at /usr"),
    ],
)
def test_a_pod_whose_surroundings_are_not_there_fails(api: KubeflowApi, tmp_path: Path, wish: Wish, reason: str) -> None:
    _, run_id = submit(api, tmp_path, wish, only="raise AssertionError('started')")
    run = ended(api, run_id)
    assert run.state == "FAILED"
    assert reason in run.log("only").read_text()
    assert "AssertionError" not in run.log("only").read_text()


def test_what_cannot_be_carried_out_is_refused(api: KubeflowApi) -> None:
    for specification, reason in [
        ({"pipelineInfo": {"name": "graph"}, "images": []}, 'no field named "images"'),
        ({"root": {"dag": {"tasks": {"one": {"componentRef": {"name": "none"}}}}}}, "task one is no container"),
    ]:
        answer = httpx.post(f"{api.address}/apis/v2beta1/runs", json={"display_name": "x", "pipeline_spec": specification})
        assert answer.status_code == 400
        assert reason in answer.json()["message"]
    assert api.runs.all == {}
    assert httpx.get(f"{api.address}/apis/v2beta1/runs/none").status_code == 404


def test_a_run_that_is_terminated_leaves_no_process(api: KubeflowApi, tmp_path: Path) -> None:
    client, run_id = submit(api, tmp_path, first="open('up', 'w').close(); import time; time.sleep(600)", second="pass")
    run = api.runs.all[run_id]
    until(lambda: (run.folder / "first" / "up").exists())
    start = time.monotonic()
    client.terminate_run(run_id)
    assert ended(api, run_id).state == "CANCELED"
    assert run.tasks == {"first": "FAILED", "second": "SKIPPED"}
    assert time.monotonic() - start < 60
