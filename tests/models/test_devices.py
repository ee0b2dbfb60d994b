"""Choosing a device: what torch does not know or this machine does not have is refused by name."""

from __future__ import annotations

import pytest

from hamer.models.devices import pick_device


@pytest.mark.parametrize("device", ["nonsense", "", "cuda:99", "cuda:-1"])
def test_devices_that_are_not_here_are_named(device: str) -> None:
    with pytest.raises(ValueError, match="device must be auto, cpu, or one that this machine has"):
        pick_device(device)


def test_a_named_device_and_auto_give_devices_that_work() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
