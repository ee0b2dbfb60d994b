"""Choosing a device: what torch does not know or this machine does not have is refused by name."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
import torch

from hamer.models.devices import exact_float32, pick_device


@pytest.mark.parametrize("device", ["nonsense", "", "cuda:99", "cuda:-1"])
def test_devices_that_are_not_here_are_named(device: str) -> None:
    with pytest.raises(ValueError, match="device must be auto, cpu, or one that this machine has"):
        pick_device(device)


def test_a_named_device_and_auto_give_devices_that_work() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("before", [True, False])
def test_convolutions_are_exact_inside_and_as_they_were_after(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """TF32 shows on NVIDIA's GPUs only, but the switch is everywhere."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    with contextlib.suppress(KeyError), exact_float32():
        assert not torch.backends.cudnn.allow_tf32
        raise KeyError
    assert torch.backends.cudnn.allow_tf32 == before


def test_a_choice_by_torchs_newer_setting_is_left() -> None:
    conv = getattr(torch.backends.cudnn, "conv", None)
    if conv is None:
        pytest.skip("this torch has no fp32_precision")
    before, conv.fp32_precision = conv.fp32_precision, "ieee"
    try:
        with exact_float32():
            assert conv.fp32_precision == "ieee"
        assert conv.fp32_precision == "ieee"
    finally:
        conv.fp32_precision = before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's account of a process's memory")
def test_memory_of_a_network_that_is_gone_goes_back_to_the_system() -> None:
    """In a process of its own: what the heap keeps depends on all that was allocated before."""
    code = """
import torch
from hamer.models.devices import free_memory

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) // 1024

torch.zeros(30 << 18)  # freeing 30 MB once makes glibc keep what is smaller
before = resident()
network, spacers = [], []
for _ in range(100):  # 400 MB, with something that stays in between, as results do
    network.append(torch.ones(1 << 20))
    spacers.append(torch.ones(100))
full = resident()
del network
free_memory()
print(full - before, resident() - before)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, kept = map(int, run.stdout.split())
    assert grown > 350
    assert kept < 60  # MB; without giving back, all 400 stay
