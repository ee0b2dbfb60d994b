"""Crops made on the device against those that workers make: equal to the last bit."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hamer.crops.augmentation import Augmentation
from hamer.crops.coarse import Coarseness
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.gpu_samples import WindowCutter, WindowWarp, collate_windows
from hamer.datasets.hands import Hand, PatchCutter
from hamer.datasets.tar_items import plan_tar_item

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def annotation(rng: np.random.Generator, width: int, height: int) -> dict[str, Any]:
    return {
        "keypoints_2d": rng.uniform(0, width, (21, 3)),
        "keypoints_3d": rng.normal(size=(21, 4)),
        "center": rng.uniform([-20, -20], [width + 20, height + 20]),
        "scale": rng.uniform(0.1, 3.5, 2),
        "hand_pose": rng.normal(size=48),
        "betas": rng.normal(size=10),
        "right": rng.integers(2),
    }


def changes(rng: np.random.Generator, number: int) -> Augmentation:
    if number % 4 == 0:
        return Augmentation()
    colors = tuple(float(c) for c in rng.uniform(0.7, 1.3, 3))
    shift_x, shift_y = (float(s) for s in rng.normal(0, 0.02, 2))
    rotation = float(rng.normal(0, 30)) if number % 4 > 1 else 0.0
    return Augmentation(float(rng.uniform(0.7, 1.3)), rotation, False, False, 0, colors, shift_x, shift_y)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", DEVICES)
def test_equal_to_the_workers_crops(device: str) -> None:
    rng = np.random.default_rng(0)
    settings = CropSettings(size=96)
    exact, windows = PatchCutter(settings), WindowCutter(settings)
    expected, items, warped = [], [], 0
    for number in range(48):
        height, width = int(rng.integers(40, 400)), int(rng.integers(40, 400))
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        mask = rng.random((height, width)) < 0.7 if number % 3 == 0 else None
        plan = plan_tar_item(annotation(rng, width, height), width, settings, changes(rng, number))
        if number % 8 == 5:
            plan = replace(plan, coarseness=Coarseness(side=20, noise=5.0, quality=60, seed=number))
        expected.append(exact.finish(exact.cut(picture, mask, plan), plan))
        items.append(windows.finish(windows.cut(picture, mask, plan), plan))
        warped += items[-1]["window"].pixels.shape[:2] == (96, 96)
    assert 5 < warped < 40  # both ways are taken
    batch = collate_windows(items)
    batch["windows"] = {name: value.to(device) for name, value in batch["windows"].items()}
    batch["color_scale"] = batch["color_scale"].to(device)
    result = WindowWarp(settings)(batch)
    for name in ("img", "mask"):
        # float32 sums of bytes with weights of 1/1024 are exact, and the rest is done in the worker's order
        np.testing.assert_array_equal(result[name].cpu().numpy(), np.stack([e[name] for e in expected]), err_msg=name)
    assert set(result) == {"img", "mask"}


def cut_item(**coarse: Any) -> dict[str, Any]:
    """One hand of 90 px in a picture of noise, without any augmentation but a coarse crop's."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (200, 200, 3), np.uint8)
    still = dict.fromkeys(("SCALE_FACTOR", "ROT_FACTOR", "TRANS_FACTOR", "COLOR_SCALE", "ROT_AUG_RATE"), 0.0)
    augment = SimpleNamespace(**still, DO_FLIP=False, FLIP_AUG_RATE=0.0, EXTREME_CROP_AUG_RATE=0.0, **coarse)
    settings = CropSettings(size=96, augment=augment)
    place = {"center": np.array([100.0, 100.0]), "scale": np.array([0.9, 0.9]), "right": 1}
    said = annotation(rng, 200, 200) | place | {"has_hand_pose": 1.0, "has_betas": 1.0}
    hand = Hand(SimpleNamespace(hands=[], key="k"), said, 0, seed=1)  # type: ignore[arg-type]
    hand.cut(picture, None, PatchCutter(settings))
    item = hand.item(PatchCutter(settings))
    assert item is not None
    return item


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_configuration_makes_crops_coarse(rate: float) -> None:
    item = cut_item(COARSE_RATE=rate, COARSE_SIDES=[12, 12])
    steps = np.abs(np.diff(item["img"][0], axis=1)).mean() / item["img"][0].std()
    assert (steps < 0.3) == (rate == 1.0)  # noise of a pixel each is gone


def test_the_configuration_moves_coarse_crops_and_their_labels() -> None:
    still, moved = (cut_item(COARSE_RATE=1.0, COARSE_SIDES=[96, 96], COARSE_SHIFT=shift) for shift in (0.0, 0.08))
    by = moved["keypoints_2d"][:, :2] - still["keypoints_2d"][:, :2]
    np.testing.assert_allclose(by, np.broadcast_to(by[0], by.shape), atol=1e-6)  # widths of the crop, float32
    assert 0.005 < np.abs(by[0]).max() <= 0.16
    x, y = np.round(by[0] * 96).astype(int)  # the picture moves as its labels do, but for parts of a pixel
    high, wide = 96 - abs(y), 96 - abs(x)
    before = still["img"][0, max(-y, 0) :, max(-x, 0) :][:high, :wide]
    after = moved["img"][0, max(y, 0) :, max(x, 0) :][:high, :wide]
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.3
    assert np.corrcoef(before.ravel(), moved["img"][0][:high, :wide].ravel())[0, 1] < 0.1


def test_a_batch_without_windows_is_handed_through() -> None:
    batch = {"img": torch.zeros(1)}
    assert WindowWarp(CropSettings())(batch) is batch


def test_settings_that_only_workers_know() -> None:
    with pytest.raises(ValueError, match="DEVICE_CROPS must be false"):
        WindowCutter(CropSettings(antialias=True))
