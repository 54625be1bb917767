import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry.bundle import manifest_sha256
from registry.errors import PromotionRefused, RegistryError, TamperedBundle
from registry.fetch import fetch
from registry.register import mark_challenger, register
from registry.runs import experiment_run, start_run
from registry.versions import alias_targets, versions


def artifacts(settings, version, path: str = "") -> set[str]:
    return {a.path for a in MlflowClient(settings.tracking_uri).list_artifacts(version.run_id, path)}


def test_the_run_holds_bundle_reports_configuration_and_metrics(settings, make_version):
    version = make_version(settings)
    assert artifacts(settings, version) == {"bundle", "reports", "config.json"}
    assert artifacts(settings, version, "reports") == {"reports/evaluation.html"}
    assert "bundle/manifest.json" in artifacts(settings, version, "bundle")
    run = MlflowClient(settings.tracking_uri).get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"trainer.epochs": "2", "gates.thresholds": '["a", "b"]'}
    assert run.data.metrics == {"article_type_accuracy": 0.75}
    assert version.source == f"runs:/{version.run_id}/bundle"


@pytest.mark.slow
def test_the_version_names_the_digest_of_its_manifest(settings, make_version, tmp_path):
    version = make_version(settings)
    assert version.tags["vitrina.bundle_sha256"] == manifest_sha256(tmp_path / "work" / "bundle-0")


def test_the_versions_page_begins_with_the_verdict_and_links_to_the_reports(settings, make_version):
    headline = "**May be promoted: all 2 gates passed.**\n\n- Accuracy: **0.912** (champion 0.850: clearly better)"
    version = make_version(settings, headline=headline)
    run = MlflowClient(settings.tracking_uri).get_run(version.run_id)
    address = f"#/experiments/{run.info.experiment_id}/runs/{version.run_id}/artifacts/reports/evaluation.html"
    assert version.description == f"{headline}\n\n[Evaluation report]({address})\n\n# Model card of 0\n"
    assert address.partition("/artifacts/")[2] in artifacts(settings, version, "reports")


def test_artifacts_stay_inside_the_home(settings, make_version, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    make_version(settings)
    assert not (tmp_path / "mlruns").exists()
    assert {p.name for p in settings.artifact_root.iterdir()} == {"vitrina-product"}


def test_training_and_registration_share_a_run_that_survives_a_kill(settings, make_version, tmp_path):
    folder = tmp_path / "training"
    run_id = start_run(settings, "product", folder)
    assert start_run(settings, "product", folder) == run_id
    client = MlflowClient(settings.tracking_uri)
    client.log_metric(run_id, "train_loss", 0.3)
    client.log_param(run_id, "trainer.epochs", "2")
    version = make_version(settings, run_id=run_id)
    assert version.run_id == run_id
    assert client.get_run(run_id).data.metrics == {"train_loss": 0.3, "article_type_accuracy": 0.75}
    client.delete_run(run_id)
    assert start_run(settings, "product", folder) != run_id


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "0" * 32])
def test_a_run_file_that_names_no_run_is_replaced(settings, tmp_path, text):
    (tmp_path / "mlflow_run").write_text(text)
    run_id = start_run(settings, "product", tmp_path)
    assert (tmp_path / "mlflow_run").read_text() == run_id


def test_a_second_version_of_one_training_does_not_write_over_the_first_ones_report(settings, make_version, tmp_path):
    run_id = experiment_run(settings, "product", "training")
    first = make_version(settings, run_id=run_id)
    other = tmp_path / "other.html"
    other.write_text("<h1>Another verdict</h1>")
    second = make_version(settings, run_id=run_id, reports={"evaluation.html": other}, gates="failed")
    client = MlflowClient(settings.tracking_uri)
    assert second.run_id != first.run_id == run_id
    assert client.get_run(second.run_id).data.tags["mlflow.parentRunId"] == run_id
    page = client.download_artifacts(first.run_id, "reports/evaluation.html", str(tmp_path))
    assert Path(page).read_text() == "<h1>Is it better?</h1>"


def test_what_a_killed_registration_left_is_in_no_version(settings, make_version, tmp_path):
    run_id = start_run(settings, "product", tmp_path / "training")
    MlflowClient(settings.tracking_uri).log_text(run_id, "of other settings", "bundle/index/lists.txt")
    version = make_version(settings, run_id=run_id)
    assert fetch(settings, version).is_dir()
    assert MlflowClient(settings.tracking_uri).get_run(version.run_id).data.tags["mlflow.parentRunId"] == run_id


def test_only_a_version_that_passed_becomes_challenger(settings, make_version):
    passed, failed = make_version(settings), make_version(settings, gates="failed")
    assert mark_challenger(settings, passed).aliases == ("challenger",)
    with pytest.raises(PromotionRefused, match="product@2 may not become challenger: gates failed"):
        mark_challenger(settings, failed)
    assert alias_targets(settings, "product") == {"challenger": 1}


def test_nothing_is_registered_where_something_is_wrong(settings, make_bundle, make_version, tmp_path):
    options = {"metrics": {}, "config": {}, "reports": {}}
    with pytest.raises(RegistryError, match=r"vitrina\.gates is None; allowed: passed, failed"):
        register(settings, "product", make_bundle("x"), tags={}, **options)
    with pytest.raises(RegistryError, match=r"report .*missing\.html does not exist"):
        make_version(settings, reports={"evaluation.html": tmp_path / "missing.html"})
    pickled = make_bundle("y")
    (pickled / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(TamperedBundle, match=r"model\.pkl may hold pickled code"):
        register(settings, "product", pickled, tags={"vitrina.gates": "passed"}, **options)
    assert versions(settings, "product") == []


def test_a_long_card_is_cut_to_what_every_store_holds(settings, make_bundle):
    bundle = make_bundle()
    (bundle / "card.md").write_text("word " * 3000)
    version = register(settings, "product", bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    assert len(version.description) == 5000
    assert version.description.endswith("(whole card: bundle/card.md of the run)")


@pytest.mark.slow
def test_more_values_than_fit_one_request_are_all_logged(settings, make_version):
    many = {f"metric_{i}": float(i) for i in range(1500)}
    config = {f"key_{i}": i for i in range(250)}
    run = MlflowClient(settings.tracking_uri).get_run(make_version(settings, metrics=many, config=config).run_id)
    assert run.data.metrics == many
    assert {name: json.loads(value) for name, value in run.data.params.items()} == config
