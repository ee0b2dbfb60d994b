"""Poses without pictures: the original's file, batches without end, positions."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.datasets import MoCapDataset
from hamer.datasets.mocap_dataset import MocapBatches
from hamer.datasets.streams import StreamPosition
from hamer.errors import AssetError


def mocap_file(folder: Path, count: int = 10, width: int = 48, **more: Any) -> Path:
    pose = np.arange(count * width, dtype=np.float64).reshape(count, width)
    np.savez(folder / "mocap.npz", **{"hand_pose": pose, "betas": np.arange(count * 10.0).reshape(count, 10), **more})
    return folder / "mocap.npz"


def test_items_leave_the_global_orientation_out(tmp_path: Path) -> None:
    extra = np.array([{"object": 1}], dtype=object)  # the original's file may hold more
    dataset = MoCapDataset(dataset_file=mocap_file(tmp_path, extra_info=extra), type="MoCapDataset")
    assert len(dataset) == 10
    item = dataset[1]
    assert {name: (value.dtype.name, value.shape) for name, value in item.items()} == {
        "hand_pose": ("float32", (45,)),
        "betas": ("float32", (10,)),
    }
    np.testing.assert_array_equal(item["hand_pose"], np.arange(48 + 3, 96))
    without = MoCapDataset(mocap_file(tmp_path, width=45))
    np.testing.assert_array_equal(without[0]["hand_pose"], np.arange(45))


def test_batches_see_every_hand_once_a_pass(tmp_path: Path) -> None:
    batches = MocapBatches(MoCapDataset(mocap_file(tmp_path)), 4, seed=1)
    drawn = [int(row[0]) // 10 for batch in islice(batches, 5) for row in batch["betas"]]
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]


def test_batches_go_on_at_a_position(tmp_path: Path) -> None:
    dataset, position = MoCapDataset(mocap_file(tmp_path)), StreamPosition()
    whole = list(islice(MocapBatches(dataset, 4, seed=1, position=position), 9))
    position.set(0, 6)
    rest = list(islice(MocapBatches(dataset, 4, seed=1, position=position), 3))
    assert all(torch.equal(one["hand_pose"], two["hand_pose"]) for one, two in zip(whole[6:], rest, strict=True))
    position.set(1)
    other = next(iter(MocapBatches(dataset, 4, seed=1, position=position)))
    assert not torch.equal(whole[0]["betas"], other["betas"])


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="hamer fetch hamer_training_data"):
        MoCapDataset(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match=r"must hold hand_pose \(N, 48\)"):
        MoCapDataset(mocap_file(tmp_path, width=51))
    np.savez(tmp_path / "other.npz", poses=np.zeros(3))
    with pytest.raises(ValueError, match="must hold hand_pose"):
        MoCapDataset(tmp_path / "other.npz")
