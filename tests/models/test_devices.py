"""Choosing a device: what torch does not know or this machine does not have is refused by name."""

from __future__ import annotations

import contextlib

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
