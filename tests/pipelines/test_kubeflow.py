"""The stack on Kubeflow, and what each pipeline submits to it: checked against KFP's own schema, every value of ours by name."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as kfp
from kubeflow_records import Records, recording
from services import s3_server, zenml_server
from zenml.client import Client
from zenml.enums import StackComponentType

from configs.cluster import ClusterConfig
from configs.errors import CheckFailed, ConfigError, VitrinaError
from configs.load import environment_file, load, merged, validate
from configs.settings import Settings
from models import family
from operations.cluster import active_stack, register_cluster, use_local
from operations.run import run_monitoring, run_promotion, run_training
from operations.scoring import score
from operations.tuning import run_tuning
from pipelines.kubeflow.flavor import NAME
from scoring.request import ScoringRequest

pytestmark = pytest.mark.slow

DELIVERY = "s3://shop/catalogue"
HIDDEN = ("hunter2", "AKIAHIDDEN", "wJalrHIDDEN")
CLUSTER: dict[str, Any] = {
    "name": "cluster",
    "user_namespace": "team-shop",
    "image": {"registry": "registry.example.org/shop", "tag": "sha256:" + "0" * 64, "pull_secret": "registry-login"},
    "artifacts": {
        "path": "s3://shop/zenml",
        "endpoint": "http://minio.shop.svc:9000",
        "key": {"secret": "s3", "key": "id"},
        "secret": {"secret": "s3", "key": "word"},
    },
    "mlflow": "http://mlflow.shop.svc:5000",
    "database": {"secret": "vitrina", "key": "database-url"},
    "home": {"claim": "home", "path": "/var/lib/vitrina"},
    "data": {"claim": "catalogues", "path": "/data"},
    "environment": {"OMP_NUM_THREADS": "4"},
    "secrets": {"WANDB_API_KEY": {"secret": "wandb", "key": "key"}},
    "resources": {"cpu": "1", "memory": "4Gi"},
    "steps": {
        "train_model": {
            "cpu": "8",
            "memory": "32Gi",
            "gpus": 2,
            "node_selector": {"gpu": "l4", "disk": "ssd"},
            "tolerate": ["dedicated"],
        },
        "split_data": {"cpu": "500m", "memory": "900Mi"},
    },
}

GRAPHS: dict[str, dict[str, set[str]]] = {
    "training": {
        "find_base": set(),
        "load_catalogue": set(),
        "validate_data": {"load_catalogue"},
        "split_data": {"load_catalogue", "validate_data"},
        "augment_data": {"load_catalogue", "validate_data", "split_data"},
        "train_model": {"find_base", "load_catalogue", "validate_data", "split_data", "augment_data"},
        "index_catalogue": {"load_catalogue", "validate_data", "train_model"},
        "evaluate_model": {"load_catalogue", "validate_data", "split_data", "train_model"},
        "evaluate_champion": {"load_catalogue", "validate_data", "split_data"},
        "check_gates": {"evaluate_model", "evaluate_champion"},
        "write_report": {"load_catalogue", "evaluate_model", "evaluate_champion", "check_gates"},
        "register_model": {
            *("find_base", "load_catalogue", "validate_data", "train_model", "index_catalogue", "evaluate_model"),
            *("check_gates", "write_report"),
        },
    },
    "tuning": {
        "find_base": set(),
        "load_catalogue": set(),
        "validate_data": {"load_catalogue"},
        "split_data": {"load_catalogue", "validate_data"},
        "select_rows": {"split_data"},
        "run_trials": {"find_base", "load_catalogue", "validate_data", "select_rows"},
        "report_study": {"run_trials"},
    },
    "monitoring": {"detect_drift": set()},
    "scoring": {"score_catalogue": set()},
    "promotion": {"verify_version": set(), "promote_version": {"verify_version"}},
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Of a person whose machine knows secrets that pods get from Secrets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRINA_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        patch.setenv("VITRINA_DATABASE_URL", f"postgresql://vitrina:{HIDDEN[0]}@127.0.0.1:1/vitrina")
        patch.setenv("AWS_ACCESS_KEY_ID", HIDDEN[1])
        patch.setenv("AWS_SECRET_ACCESS_KEY", HIDDEN[2])
        patch.delenv("ZENML_STORE_URL", raising=False)
        with s3_server(tmp_path_factory.mktemp("s3"), "shop") as address:
            patch.setenv("AWS_ENDPOINT_URL", address)
            yield Settings.from_environment()


@pytest.fixture(scope="module")
def kubeflow() -> Iterator[Records]:
    with recording() as records:
        yield records


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with zenml_server(tmp_path_factory.mktemp("server")) as address:
        yield address


Configured = Callable[..., ClusterConfig]


@pytest.fixture(scope="module")
def configured(kubeflow: Records, server: str) -> Configured:
    """The cluster of this module, with values changed."""

    def make(**changes: Any) -> ClusterConfig:
        return validate(ClusterConfig, CLUSTER | {"kubeflow": kubeflow.address, "zenml": server} | changes, where="cluster.yaml")

    return make


@pytest.fixture(scope="module")
def stack(settings: Settings, configured: Configured) -> Iterator[ClusterConfig]:
    """Registered and active; afterwards this process is back at its own store."""
    cluster = configured()
    assert set(register_cluster(settings, cluster).values()) == {"made"}
    yield cluster
    use_local(settings)


def train(settings: Settings, model: str, data: str = DELIVERY) -> None:
    run_training(settings, model, [data], load(family.get(model).config, environment_file("kubeflow", model)))


def tune(settings: Settings) -> None:
    run_tuning(settings, "product", [DELIVERY], merged(environment_file("kubeflow", "product")))


def watch(settings: Settings) -> None:
    run_monitoring(settings, "product", load(family.get("product").config, environment_file("kubeflow", "product")))


def promote(settings: Settings) -> None:
    run_promotion(settings, "product", 3, "ana", "looks right")


def answer(settings: Settings) -> None:
    score(settings, ScoringRequest(reference="product@champion", data=("/data/spring",), out="/data/scores"))


SUBMISSIONS: dict[str, tuple[str, Callable[[Settings], None]]] = {
    **{f"training of {name}": ("training", lambda settings, name=name: train(settings, name)) for name in family.names()},
    "tuning": ("tuning", tune),
    "monitoring": ("monitoring", watch),
    "promotion": ("promotion", promote),
    "scoring": ("scoring", answer),
}


@pytest.fixture(scope="module", params=SUBMISSIONS)
def submitted(request: pytest.FixtureRequest, settings: Settings, stack: ClusterConfig, kubeflow: Records) -> tuple[str, Any]:
    """A pipeline's name, and what was submitted for it."""
    pipeline, submit = SUBMISSIONS[request.param]
    with pytest.raises(CheckFailed, match="Kubeflow says FAILED: nothing is carried out here"):
        submit(settings)
    return pipeline, kubeflow.runs[-1]


def containers(run: Any) -> dict[str, tuple[kfp.PipelineTaskSpec, Any, dict[str, Any]]]:
    """Task, container and Kubernetes' wishes of each step, all of it read strictly by KFP's own schema."""
    submission = run["pipeline_spec"]
    assert set(submission) == {"pipeline_spec", "platform_spec"}
    spec = json_format.ParseDict(submission["pipeline_spec"], kfp.PipelineSpec())
    deployment = json_format.ParseDict(json_format.MessageToDict(spec.deployment_spec), kfp.PipelineDeploymentConfig())
    platform = json_format.ParseDict(submission["platform_spec"], kfp.PlatformSpec())
    [kubernetes_alone] = platform.platforms
    assert kubernetes_alone == "kubernetes"
    wishes = platform.platforms["kubernetes"].deployment_spec.executors
    assert set(wishes) == set(deployment.executors)
    found = {}
    for task in spec.root.dag.tasks.values():
        label = spec.components[task.component_ref.name].executor_label
        wish = json_format.ParseDict(json_format.MessageToDict(wishes[label]), kubernetes.KubernetesExecutorConfig())
        found[task.task_info.name] = (task, deployment.executors[label].container, json_format.MessageToDict(wish))
    return found


def constant(value: str) -> dict[str, Any]:
    """How newer compilers write a name, beside the older way."""
    return {"runtimeValue": {"constant": value}}


def secret(variable: str, name: str, key: str) -> dict[str, Any]:
    pair = {"envVar": variable, "secretKey": key}
    return {"keyToEnv": [pair], "optional": False, "secretName": name, "secretNameParameter": constant(name)}


EVERY_POD: dict[str, Any] = {
    "secretAsEnv": [
        secret("VITRINA_DATABASE_URL", "vitrina", "database-url"),
        secret("AWS_ACCESS_KEY_ID", "s3", "id"),
        secret("AWS_SECRET_ACCESS_KEY", "s3", "word"),
        secret("WANDB_API_KEY", "wandb", "key"),
    ],
    "pvcMount": [
        {"constant": claim, "mountPath": path, "pvcNameParameter": constant(claim)}
        for claim, path in (("home", "/var/lib/vitrina"), ("catalogues", "/data"))
    ],
    "emptyDirMounts": [{"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory"}],
    "imagePullSecret": [{"secretName": "registry-login", "secretNameParameter": constant("registry-login")}],
    "fieldPathAsEnv": [{"name": "KFP_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}],
    "securityContext": {"runAsUser": "10001", "runAsGroup": "10001", "runAsNonRoot": True},
}
PLACED: dict[str, dict[str, Any]] = {
    "train_model": {
        "nodeSelector": {"labels": {"gpu": "l4", "disk": "ssd"}},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}, {"key": "nvidia.com/gpu", "operator": "Exists"}],
    }
}
GIVEN = {
    "train_model": {"cpu": "8", "memory": "32Gi", "gpus": "2"},
    "split_data": {"cpu": "500m", "memory": "900Mi", "gpus": ""},
}


def test_the_graph_is_the_pipelines(submitted: tuple[str, Any]) -> None:
    pipeline, run = submitted
    spec = run["pipeline_spec"]["pipeline_spec"]
    names = {key: task["taskInfo"]["name"] for key, task in spec["root"]["dag"]["tasks"].items()}
    graph = {names[key]: {names[b] for b in t.get("dependentTasks", [])} for key, t in spec["root"]["dag"]["tasks"].items()}
    assert graph == GRAPHS[pipeline]
    assert spec["pipelineInfo"]["name"].startswith(f"{pipeline}-")
    assert run["display_name"] == spec["pipelineInfo"]["name"]


def test_each_pod_is_what_the_configuration_says(submitted: tuple[str, Any], stack: ClusterConfig, server: str) -> None:
    _, run = submitted
    client = Client()
    for name, (task, container, wishes) in containers(run).items():
        assert container.image == f"registry.example.org/shop/vitrina@sha256:{'0' * 64}"
        words = [*container.command, *container.args]
        assert words[:4] == ["python", "-m", "zenml.entrypoints.entrypoint", "--entrypoint_config_source"]
        assert words[4:6] == ["pipelines.kubeflow.entrypoint.StepEntrypoint", "--snapshot_id"]
        assert words[7:] == ["--step_name", name]
        assert client.zen_store.get_snapshot(words[6]).step_configurations[name]
        variables = {variable.name: variable.value for variable in container.env}
        assert len(variables) == len(container.env)
        theirs = {key: variables.pop(key) for key in list(variables) if key.startswith("ZENML_") and key not in OURS}
        assert theirs["ZENML_STORE_URL"] == server
        assert theirs["ZENML_ACTIVE_STACK_ID"] == str(client.active_stack_model.id)
        assert set(theirs) == {"ZENML_STORE_URL", "ZENML_ACTIVE_STACK_ID", *OF_ZENML}
        assert variables == OURS
        given = GIVEN.get(name, {"cpu": "1", "memory": "4Gi", "gpus": ""})
        asked = container.resources
        assert (asked.resource_cpu_request, asked.resource_cpu_limit) == (given["cpu"], "")
        assert asked.resource_memory_request == asked.resource_memory_limit == given["memory"]
        assert (asked.accelerator.resource_type, asked.accelerator.resource_count) == (
            ("nvidia.com/gpu", given["gpus"]) if given["gpus"] else ("", "")
        )
        assert wishes == EVERY_POD | PLACED.get(name, {})
        assert task.caching_options.enable_cache is False
        assert not task.HasField("retry_policy")


OURS = {
    "MLFLOW_TRACKING_URI": "http://mlflow.shop.svc:5000",
    "AWS_ENDPOINT_URL": "http://minio.shop.svc:9000",
    "VITRINA_HOME": "/var/lib/vitrina",
    "OMP_NUM_THREADS": "4",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
    "ZENML_LOGGING_COLORS_DISABLED": "true",
    "DISABLE_CREDENTIALS_DISK_CACHING": "true",
}
OF_ZENML = {
    "ZENML_USER_ID",
    "ZENML_ANALYTICS_OPT_IN",
    "ZENML_VERSION",
    "ZENML_ACTIVE_PROJECT_ID",
    "ZENML_STORE_TYPE",
    "ZENML_STORE_VERIFY_SSL",
    "ZENML_STORE_HTTP_TIMEOUT",
    "ZENML_STORE_CONNECTION_POOL_SIZE",
}


def test_no_secret_of_this_machine_is_told(submitted: tuple[str, Any]) -> None:
    text = json.dumps(submitted[1])
    assert not [word for word in HIDDEN if word in text]


def test_what_is_submitted_lies_in_a_file_too(submitted: tuple[str, Any], stack: ClusterConfig) -> None:
    run = submitted[1]
    folder = Path(os.environ["ZENML_CONFIG_PATH"], "kubeflow", str(Client().active_stack.orchestrator.id), "pipelines")
    spec, platform = yaml.safe_load_all((folder / f"{run['display_name']}.yaml").read_text())
    assert {"pipeline_spec": spec, "platform_spec": platform} == run["pipeline_spec"]


def test_every_step_of_a_pipeline_may_get_resources_of_its_own() -> None:
    steps = Path(environment_file("base", "product")).parents[2] / "steps"
    declared = {path.stem for path in steps.glob("*.py") if "\n@step" in path.read_text()}
    assert set().union(*GRAPHS.values()) <= declared


def test_the_same_file_again_changes_nothing_and_another_changes_what_differs(
    settings: Settings, stack: ClusterConfig, configured: Configured
) -> None:
    before = Client().active_stack_model.id
    assert set(register_cluster(settings, stack).values()) == {"unchanged"}
    done = register_cluster(settings, configured(mlflow="http://other:5000", resources={"memory": "2Gi"}))
    assert done == {
        "orchestrator": "changed",
        "artifact_store": "unchanged",
        "container_registry": "unchanged",
        "experiment_tracker": "changed",
    }
    found = active_stack(settings)
    assert found.cluster is not None
    assert (found.cluster.mlflow, found.cluster.resources.memory) == ("http://other:5000", "2Gi")
    assert register_cluster(settings, stack)["orchestrator"] == "changed"
    assert active_stack(settings).cluster == stack
    assert Client().active_stack_model.id == before


def test_pods_may_reach_the_zenml_server_by_another_address(
    settings: Settings, stack: ClusterConfig, configured: Configured, kubeflow: Records, server: str
) -> None:
    register_cluster(settings, configured(zenml="http://127.0.0.1:1"))
    assert active_stack(settings).store == server
    with pytest.raises(CheckFailed):
        promote(settings)
    for _, container, _ in containers(kubeflow.runs[-1]).values():
        assert {variable.value for variable in container.env if variable.name == "ZENML_STORE_URL"} == {"http://127.0.0.1:1"}
    register_cluster(settings, stack)


def test_what_an_interrupted_call_left_is_completed(
    settings: Settings, stack: ClusterConfig, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Client, "create_stack", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            register_cluster(settings, configured(name="second"))
    assert active_stack(settings).name == "cluster"
    assert set(register_cluster(settings, configured(name="second")).values()) == {"unchanged"}
    assert active_stack(settings).name == "second"
    register_cluster(settings, stack)


def test_a_component_of_another_kind_is_left_alone(settings: Settings, stack: ClusterConfig, configured: Configured) -> None:
    Client().create_stack_component("mine", "local", StackComponentType.ORCHESTRATOR, {})
    with pytest.raises(VitrinaError, match="orchestrator mine exists and is local, not vitrina-kubeflow: choose another name"):
        register_cluster(settings, configured(name="mine"))
    assert active_stack(settings).name == "cluster"


def test_the_stack_holds_what_the_configuration_names(stack: ClusterConfig) -> None:
    components = {kind.value: one for kind, [one] in Client().active_stack_model.components.items()}
    flavors = {kind: one.flavor_name for kind, one in components.items()}
    assert flavors == {
        "orchestrator": NAME,
        "artifact_store": "s3",
        "container_registry": "default",
        "experiment_tracker": "mlflow",
    }
    assert components["artifact_store"].configuration == {"path": "s3://shop/zenml"}
    assert components["container_registry"].configuration["uri"] == "registry.example.org/shop"
    assert components["experiment_tracker"].configuration["tracking_uri"] == "http://mlflow.shop.svc:5000"
    assert ClusterConfig.model_validate(components["orchestrator"].configuration["cluster"]) == stack


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "/home/ana/catalogue",
            "--data /home/ana/catalogue: pods of the active stack cluster do not see it; allowed: an address such as "
            "s3://bucket/catalogue or a folder below /var/lib/vitrina or a folder below /data",
        ),
        ("/database/x", "do not see it"),
        ("/data/../etc", "do not see it"),
        ("catalogue", "do not see it"),
    ],
)
def test_a_folder_that_pods_do_not_see_is_refused_before_anything_is_submitted(
    settings: Settings, stack: ClusterConfig, kubeflow: Records, data: str, message: str
) -> None:
    before = len(kubeflow.runs)
    with pytest.raises(ConfigError) as caught:
        train(settings, "quality", data)
    assert message in str(caught.value)
    assert len(kubeflow.runs) == before


def test_answers_must_lie_where_pods_see_them(settings: Settings, stack: ClusterConfig, kubeflow: Records) -> None:
    before = len(kubeflow.runs)
    with pytest.raises(
        ConfigError, match=r"^--out scores: pods .* do not see it; allowed: a folder below /var/lib/vitrina or a "
    ):
        score(settings, ScoringRequest(reference="product", data=("/data/spring",), out="scores"))
    assert len(kubeflow.runs) == before


def test_a_folder_on_a_volume_is_submitted_as_it_is(settings: Settings, stack: ClusterConfig, kubeflow: Records) -> None:
    with pytest.raises(CheckFailed):
        train(settings, "quality", "/data/spring")
    words = list(containers(kubeflow.runs[-1])["load_catalogue"][1].args)
    snapshot = Client().zen_store.get_snapshot(words[words.index("--snapshot_id") + 1])
    assert snapshot.step_configurations["load_catalogue"].config.parameters["data"] == ["/data/spring"]


def test_a_registry_of_this_machine_alone_is_refused(settings: Settings, stack: ClusterConfig, kubeflow: Records) -> None:
    here = Settings(settings.home, settings.database_url, f"sqlite:///{settings.home / 'mlflow.db'}")
    before = len(kubeflow.runs)
    with pytest.raises(VitrinaError, match=r"registers models at http://mlflow\.shop\.svc:5000: set MLFLOW_TRACKING_URI"):
        promote(here)
    assert len(kubeflow.runs) == before


def test_an_artifact_store_that_this_machine_does_not_reach_is_told_at_once(
    settings: Settings, stack: ClusterConfig, kubeflow: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(kubeflow.runs)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(
        VitrinaError, match=r"^s3://shop/zenml: the store http://127\.0\.0\.1:1 does not answer .* AWS_ENDPOINT_URL$"
    ):
        promote(settings)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(VitrinaError, match=r"keeps its artifacts at http://minio\.shop\.svc:9000: set AWS_ENDPOINT_URL"):
        promote(settings)
    assert len(kubeflow.runs) == before


def test_a_cancelled_run_is_waited_for_no_longer(settings: Settings, stack: ClusterConfig, kubeflow: Records) -> None:
    kubeflow.state = "CANCELED"
    with pytest.raises(CheckFailed, match=r"Kubeflow says CANCELED: .*; its log: http://127\.0\.0\.1:\d+/#/runs/details/run-"):
        promote(settings)
    kubeflow.state = "FAILED"
    assert Client().list_pipeline_runs(size=1, sort_by="desc:created")[0].status.value == "failed"


def test_a_refusal_is_told_in_one_line(settings: Settings, stack: ClusterConfig, kubeflow: Records) -> None:
    kubeflow.refusing = 400
    with pytest.raises(VitrinaError, match=r'^Kubeflow Pipelines at http://127\S+: 400 Bad Request: \{.*"no room') as caught:
        promote(settings)
    kubeflow.refusing = 0
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_kubeflow_that_is_away_is_told_in_one_line(settings: Settings, stack: ClusterConfig, configured: Configured) -> None:
    register_cluster(settings, configured(kubeflow="http://127.0.0.1:1"))
    with pytest.raises(VitrinaError, match=r"^Kubeflow Pipelines at http://127\.0\.0\.1:1: .*Connection refused"):
        promote(settings)
    register_cluster(settings, stack)


def test_a_run_that_takes_too_long_goes_on_and_the_command_says_so(
    settings: Settings, stack: ClusterConfig, kubeflow: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.state = "RUNNING"
    monkeypatch.setattr("pipelines.kubeflow.orchestrator.time.sleep", lambda _: None)
    clock = iter(range(0, 10_000_000, 3600))
    monkeypatch.setattr("pipelines.kubeflow.orchestrator.time.monotonic", lambda: next(clock))
    with pytest.raises(
        VitrinaError, match=r"the run has not ended within timeout_minutes 1440; it goes on: \S+/#/runs/details/run-\d+"
    ):
        promote(settings)
    kubeflow.state = "FAILED"


def test_a_kubeflow_that_is_away_for_a_while_is_waited_for(
    settings: Settings, stack: ClusterConfig, kubeflow: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.broken = 3
    with pytest.raises(CheckFailed, match="Kubeflow says FAILED"):
        promote(settings)
    assert kubeflow.broken == 0
    kubeflow.broken = 1_000_000
    monkeypatch.setattr("pipelines.kubeflow.orchestrator.PATIENCE", 0.0)
    with pytest.raises(VitrinaError, match=r"^Kubeflow Pipelines: 503 Service Unavailable: .*; the run may go on: http\S+$"):
        promote(settings)
    kubeflow.broken = 0


def test_whoever_is_interrupted_is_told_that_the_run_goes_on(
    settings: Settings, stack: ClusterConfig, kubeflow: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.state = "RUNNING"
    with monkeypatch.context() as patch, pytest.raises(VitrinaError) as caught:
        patch.setattr("pipelines.kubeflow.orchestrator.time.sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
        promote(settings)
    kubeflow.state = "FAILED"
    assert str(caught.value).startswith("interrupted; the run goes on: http://127.0.0.1:")
    assert caught.value.exit_code == 130
    run = Client().list_pipeline_runs(size=1, sort_by="desc:created")[0]
    assert not run.status.is_finished


def test_whoever_asks_may_bring_a_token(
    settings: Settings, stack: ClusterConfig, kubeflow: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.tokens.clear()
    monkeypatch.setenv("VITRINA_KUBEFLOW_TOKEN", "of-ana")
    with pytest.raises(CheckFailed):
        promote(settings)
    assert set(kubeflow.tokens) == {"Bearer of-ana"}
    assert "of-ana" not in json.dumps(kubeflow.runs[-1])
