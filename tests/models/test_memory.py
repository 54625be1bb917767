"""Memory of GPUs: asked of torch only where it computes on one."""

import subprocess
import sys
from pathlib import Path

import torch

from models.memory import gpu_memory

ROOT = Path(__file__).parents[2]


def test_asking_imports_nothing():
    code = "import sys, models.memory as m; print(m.gpu_memory(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]


def test_each_gpu_is_told_by_what_is_used_and_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert gpu_memory() == []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: [(3, 10), (8, 8)][device])
    assert gpu_memory() == [(7, 10), (0, 8)]
