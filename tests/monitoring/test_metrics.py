import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring import metrics

ROOT = Path(__file__).parents[2]


def value(text: bytes, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text.decode()):
        for found in family.samples:
            if found.name == name and labels.items() <= found.labels.items():
                return found.value
    return None


def test_requests_are_counted_and_timed_by_route() -> None:
    before = value(metrics.exposition(), "vitrina_requests_total", endpoint="/v1/test", status="200") or 0.0
    metrics.request_done("/v1/test", 200, 0.02)
    text = metrics.exposition()
    assert value(text, "vitrina_requests_total", endpoint="/v1/test", status="200") == before + 1
    assert value(text, "vitrina_request_seconds_bucket", endpoint="/v1/test", le="0.01") == 0
    assert value(text, "vitrina_request_seconds_bucket", endpoint="/v1/test", le="0.025") == before + 1


def test_a_swap_moves_the_model_info() -> None:
    metrics.model_swapped("product", None, 3)
    metrics.model_swapped("product", 3, 4)
    text = metrics.exposition()
    assert value(text, "vitrina_model_info", model="product", version="3") == 0
    assert value(text, "vitrina_model_info", model="product", version="4") == 1


@pytest.mark.slow
def test_workers_that_share_a_folder_are_added_up_and_dead_ones_leave_the_gauges(tmp_path: Path) -> None:
    environment = os.environ | {metrics.MULTIPROCESS: str(tmp_path), "PYTHONPATH": str(ROOT)}
    work = "from monitoring import metrics as m; m.request_done('/v1/x', 200, 0.1); m.model_swapped('product', None, 1)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", work], env=environment, check=True)
    ask = f"{work}; import sys; sys.stdout.buffer.write(m.exposition())"
    text = subprocess.run([sys.executable, "-c", ask], env=environment, check=True, capture_output=True).stdout
    assert value(text, "vitrina_requests_total", endpoint="/v1/x", status="200") == 3
    assert value(text, "vitrina_model_info", model="product", version="1") == 1


@pytest.mark.slow
def test_a_killed_worker_leaves_the_gauges_before_its_parent_has_noted_its_end(tmp_path: Path) -> None:
    environment = os.environ | {metrics.MULTIPROCESS: str(tmp_path), "PYTHONPATH": str(ROOT)}
    work = "from monitoring import metrics as m; m.model_swapped('product', None, 1)"
    killed = subprocess.Popen([sys.executable, "-c", f"{work}; import os; os.kill(os.getpid(), 9)"], env=environment)
    ask = f"{work}; import sys; sys.stdout.buffer.write(m.exposition())"
    while psutil.Process(killed.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    text = subprocess.run([sys.executable, "-c", ask], env=environment, check=True, capture_output=True).stdout
    assert value(text, "vitrina_model_info", model="product", version="1") == 1
    killed.wait()


def test_a_batch_is_told_with_the_waits_of_its_items_and_what_waits_still() -> None:
    before = {
        name: value(metrics.exposition(), name, model="batched") or 0.0
        for name in ("vitrina_queue_wait_seconds_count", "vitrina_forward_seconds_count", "vitrina_prediction_batch_size_sum")
    }
    metrics.batch_ran("batched", [0.002, 0.004], 0.03, 5)
    text = metrics.exposition()
    grown = {name: value(text, name, model="batched") - count for name, count in before.items()}
    assert list(grown.values()) == [2, 1, 2]
    assert value(text, "vitrina_queue_length", model="batched") == 5
    assert value(text, "vitrina_queue_wait_seconds_bucket", model="batched", le="0.0025") == 1


def test_answers_of_a_model_are_counted_by_version_and_others_are_not() -> None:
    metrics.request_done("/v1/versioned", 200, 0.02, "product", "7")
    metrics.request_done("/v1/versioned", 404, 0.02)
    text = metrics.exposition()
    assert value(text, "vitrina_answers_total", endpoint="/v1/versioned", model="product", version="7") == 1
    assert value(text, "vitrina_answers_total", endpoint="/v1/versioned", status="404") is None
    assert value(text, "vitrina_request_seconds_count", endpoint="/v1/versioned", version="7") == 1


def test_memory_of_processes_and_gpus_is_told() -> None:
    metrics.memory_used([(7, 10)])
    text = metrics.exposition()
    assert value(text, "vitrina_process_memory_bytes") > 1e7
    assert (value(text, "vitrina_gpu_memory_bytes"), value(text, "vitrina_gpu_memory_total_bytes")) == (7, 10)


@pytest.mark.slow
def test_importing_does_not_import_the_client_library() -> None:
    modules = "import sys, monitoring.metrics, monitoring.prediction_log"
    code = f"{modules}; print('prometheus_client' in sys.modules, 'evidently' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True).stdout
    assert found.split() == ["False", "False"]


@pytest.mark.parametrize(
    "name", ["vitrina_prediction_batch_size_count", "vitrina_predictions_logged_total", "vitrina_model_load_failures_total"]
)
def test_every_promised_metric_is_exposed(name: str) -> None:
    metrics.batch_ran("product", [0.001] * 4, 0.02, 0)
    metrics.predictions_written(2)
    metrics.model_load_failed("product")
    assert value(metrics.exposition(), name) is not None
