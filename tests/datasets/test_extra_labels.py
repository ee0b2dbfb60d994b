"""Landmarks, part labels and visibility of items: they follow the crop's pixels and keypoints, whatever is done to these."""

from __future__ import annotations

import pickle
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from hamer.configs import ConfigNode
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.extra_labels import UNKNOWN_PART
from hamer.datasets.gpu_samples import WindowCutter, WindowWarp, collate_windows
from hamer.datasets.hands import PatchCutter
from hamer.datasets.mixture import Chain
from hamer.datasets.tar_dataset import load_tars, tar_source

tars = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tar_making.py"))))
ASKED = {"LANDMARKS": True, "PARTS": True}
TURNED = {**tars.AUGMENT, "ROT_AUG_RATE": 1.0, "TRANS_FACTOR": 0.1}
SIZE = 128


def config(**datasets: Any) -> ConfigNode:
    return ConfigNode({"MODEL": {"IMAGE_SIZE": SIZE}, "DATASETS": {"CONFIG": TURNED, **datasets}})


def png(labels: np.ndarray) -> bytes:
    return cv2.imencode(".png", labels)[1].tobytes()


def labelled_hand(seed: int = 0, *, is_right: bool = True, **changes: Any) -> dict[str, Any]:
    """A hand whose landmarks are its keypoints, so that both must end in the same places."""
    rng = np.random.default_rng(seed)
    hand = tars.annotation(right=np.float32(is_right))
    hand["keypoints_3d"] = np.c_[rng.normal(0, 0.05, (21, 3)), np.ones(21)].astype(np.float32)
    confidence = rng.uniform(0.2, 1, 21).astype(np.float32)
    more = {
        "landmarks_2d": np.c_[hand["keypoints_2d"][:, :2], confidence].astype(np.float32),
        "landmarks_3d": hand["keypoints_3d"][:, :3].copy(),
        "visibility": rng.uniform(size=21) < 0.5,
    }
    return {**hand, **more, **changes}


def blocks() -> np.ndarray:
    """Labels (40, 48) in blocks of 8 px."""
    return (np.arange(40)[:, None] // 8 * 3 + np.arange(48) // 8).astype(np.uint8) % 19


def picture_of(labels: np.ndarray) -> bytes:
    """A png whose grey levels are the labels times ten."""
    return png(np.repeat((labels * 10)[:, :, None], 3, axis=2))


def items(path: Path, *, train: bool = True, **datasets: Any) -> list[dict[str, Any]]:
    return list(load_tars(config(**datasets), str(path), train=train))


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """Twelve hands, every other one a left hand."""
    labels = blocks()
    samples = {
        f"{n:03d}": {
            "png": picture_of(labels),
            "data.pyd": pickle.dumps([labelled_hand(n, is_right=n % 2 == 0)], protocol=2),
            "parts.png": png(labels),
        }
        for n in range(12)
    }
    return tars.write_tar(tmp_path / "labelled.tar", samples)


def test_landmarks_go_where_keypoints_go(tar: Path) -> None:
    found = items(tar, **ASKED)
    assert len(found) == 12
    for item in found:
        truth = labelled_hand(int(item["__key__"]))
        landmarks = item["landmarks"]
        assert landmarks.dtype == np.float32
        assert landmarks.shape == (21, 7)
        np.testing.assert_array_equal(landmarks[:, :2], item["keypoints_2d"][:, :2])  # the same operations
        np.testing.assert_array_equal(landmarks[:, 2], truth["landmarks_2d"][:, 2])
        relative = item["keypoints_3d"][:, :3] - item["keypoints_3d"][0, :3]
        np.testing.assert_allclose(
            landmarks[:, 3:6], relative, atol=1e-7
        )  # float32: turned before or after the difference
        assert (landmarks[:, 6] == 1).all()
        assert item["has_landmarks"] == 1
        np.testing.assert_array_equal(item["visibility"], truth["visibility"].astype(np.float32))


@pytest.mark.parametrize("train", [True, False])
def test_parts_are_those_of_the_pixels(tar: Path, train: bool) -> None:
    """Grey levels of the crop, made by the warp, say the labels too: away from edges of blocks both agree."""
    mean, std = CropSettings().levels
    cell = SIZE // 32
    for item in items(tar, train=train, SHUFFLE=False, **ASKED, CONFIG={**TURNED, "COLOR_SCALE": 0.0}):
        grey = np.rint(item["img"] * std[:, None, None] + mean[:, None, None])[0]
        corners = grey.reshape(32, cell, 32, cell).transpose(0, 2, 1, 3).reshape(32, 32, -1)
        is_flat = (corners.max(-1) == corners.min(-1)) & (item["mask"][cell // 2 :: cell, cell // 2 :: cell] == 1)
        known = is_flat & (item["parts"] != UNKNOWN_PART)
        assert known.sum() > 100
        np.testing.assert_array_equal(item["parts"][known] * 10, corners[known][:, 0])
        outside = item["mask"].reshape(32, cell, 32, cell).max(axis=(1, 3)) == 0
        assert (item["parts"][outside] == UNKNOWN_PART).all()


def test_nothing_asked_nothing_changed(tar: Path) -> None:
    plain, asked = items(tar), items(tar, **ASKED)
    assert set(asked[0]) - set(plain[0]) == {"landmarks", "has_landmarks", "parts", "visibility"}
    for a, b in zip(plain, asked, strict=True):
        np.testing.assert_array_equal(a["img"], b["img"])
        np.testing.assert_array_equal(a["keypoints_2d"], b["keypoints_2d"])
    assert set(items(tar, LANDMARKS=True)[0]) - set(plain[0]) == {"landmarks", "has_landmarks", "visibility"}


def test_sets_without_them_collate(tar: Path, tmp_path: Path) -> None:
    plain = tars.numbered_tar(tmp_path / "plain.tar", range(4))
    mixed = torch.utils.data.default_collate([*items(tar, **ASKED), *items(plain, **ASKED)])
    assert mixed["landmarks"].shape == (16, 21, 7)
    assert (mixed["landmarks"][12:] == 0).all()
    assert mixed["has_landmarks"].tolist() == [1.0] * 12 + [0.0] * 4
    assert (mixed["parts"][12:] == UNKNOWN_PART).all()
    assert mixed["parts"].dtype == torch.uint8
    assert (mixed["visibility"][12:] == 1).all()


def test_unknown_landmarks_are_zero(tmp_path: Path) -> None:
    hand = labelled_hand()
    hand["landmarks_2d"][3, 0], hand["landmarks_2d"][4, 2] = np.nan, 0.0
    hand["landmarks_3d"][5] = np.nan
    hands = [hand, labelled_hand(1, landmarks_3d=np.full((21, 3), np.nan, np.float32))]
    path = tars.write_tar(tmp_path / "part.tar", {f"{n}": tars.sample(one) for n, one in enumerate(hands)})
    first, second = items(path, train=False, **ASKED)
    assert (first["landmarks"][[3, 4]] == 0).all()
    assert first["landmarks"][5, 6] == 1
    assert (first["landmarks"][5, 3:6] == 0).all()
    assert np.isfinite(second["landmarks"]).all()
    assert (second["landmarks"][:, 3:6] == 0).all()
    assert (second["landmarks"][:, 6] == 1).all()


def test_parts_are_of_the_first_hand(tmp_path: Path) -> None:
    labels = blocks()
    path = tars.write_tar(
        tmp_path / "two.tar", {"0": tars.sample(labelled_hand(), labelled_hand(1), parts_png=png(labels))}
    )
    first, second = items(path, train=False, **ASKED)
    assert (first["parts"] != UNKNOWN_PART).any()
    assert (second["parts"] == UNKNOWN_PART).all()


@pytest.mark.parametrize(
    ("changes", "parts", "told"),
    [
        ({"landmarks_2d": np.zeros((20, 3))}, png(blocks()), "landmarks_2d must be numbers of shape"),
        ({"landmarks_3d": np.full((21, 3), np.inf)}, png(blocks()), "landmarks_3d must be finite"),
        ({"visibility": np.array(["x"] * 21)}, png(blocks()), "visibility must be numbers"),
        ({}, b"no picture", "parts.png must be a grey picture"),
        ({}, png(blocks()[:-1]), "parts.png must be a grey picture"),
        ({}, png(blocks() + 19), "parts.png must hold labels"),
    ],
)
def test_wrong_ones_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], parts: bytes, told: str
) -> None:
    samples = {"bad": tars.sample(labelled_hand(**changes), parts_png=parts), "good": tars.sample(labelled_hand())}
    path = tars.write_tar(tmp_path / "bad.tar", samples)
    loaded = load_tars(config(**ASKED), str(path), train=False)
    assert [item["__key__"] for item in loaded] == ["good"]
    assert loaded.source.skipped.totals() == {"wrong annotation": 1}
    assert told in caplog.text
    assert len(items(path, train=False)) == 2  # who does not ask for them is not concerned


def test_crops_of_the_device_have_them_too(tar: Path) -> None:
    cfg = config(**ASKED)
    settings = CropSettings.from_cfg(cfg, train=True)
    source = tar_source(cfg, str(tar), train=False)
    exact = list(Chain([source], PatchCutter(settings), shuffle_buffer=0))
    batch = WindowWarp(settings)(collate_windows(list(Chain([source], WindowCutter(settings), shuffle_buffer=0))))
    expected = torch.utils.data.default_collate(exact)
    for name in ("img", "landmarks", "has_landmarks", "parts", "visibility"):
        assert batch[name].equal(expected[name]), name
