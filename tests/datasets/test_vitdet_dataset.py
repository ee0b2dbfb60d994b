"""The drop-in inference data set against the original's items."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from hamer.datasets import DEFAULT_MEAN, DEFAULT_STD, ViTDetDataset

MODEL = {
    "IMAGE_SIZE": 256,
    "IMAGE_MEAN": [0.485, 0.456, 0.406],
    "IMAGE_STD": [0.229, 0.224, 0.225],
    "BBOX_SHAPE": [192, 256],
}
CONFIG = OmegaConf.create({"MODEL": MODEL})
BGR = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)


def test_items_are_the_originals(golden: Path, photos: Path) -> None:
    original = np.load(golden / "hamer" / "preprocess.npz")
    stored = np.load(golden / "hamer" / "preprocess_opencv4.npz")
    bgr = cv2.imread(str(photos / "test1.jpg"))
    dataset = ViTDetDataset(CONFIG, bgr, original["box"][:3], original["right_in"][:3], rescale_factor=2.0)
    assert len(dataset) == 3
    for index in range(3):
        item = dataset[index]
        assert np.abs(item["img"] - stored["img"][index]).max() <= 1e-3  # the same OpenCV; the golden set's tolerance
        np.testing.assert_allclose(item["box_center"], original["box_center"][index], atol=1e-4)
        np.testing.assert_allclose(item["box_size"], original["box_size"][index], atol=1e-4)
        np.testing.assert_array_equal(item["img_size"], original["img_size"][index])
        assert item["right"] == original["right"][index]
        assert item["personid"] == original["personid"][index]


def test_types_of_an_item_and_a_batch() -> None:
    dataset = ViTDetDataset(CONFIG, BGR, np.array([[20, 20, 90, 100], [50.5, 60, 80, 70]]), np.array([1, 0]))
    item = dataset[1]
    assert list(item) == ["img", "personid", "box_center", "box_size", "img_size", "right"]
    assert (item["img"].dtype, item["img"].shape) == (np.float32, (3, 256, 256))
    assert isinstance(item["personid"], int)
    assert [np.asarray(item[k]).dtype for k in ("box_center", "box_size", "img_size", "right")] == [
        np.float32,
        np.float32,
        np.float64,
        np.float32,
    ]
    batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=False, num_workers=0)))
    assert batch["img"].shape == (2, 3, 256, 256)
    assert batch["personid"].tolist() == [0, 1]
    assert batch["box_size"].dtype == torch.float32


def test_defaults_and_other_kinds_of_configuration() -> None:
    np.testing.assert_allclose(DEFAULT_MEAN, [123.675, 116.28, 103.53])
    np.testing.assert_allclose(DEFAULT_STD, [58.395, 57.12, 57.375])
    box, right = np.array([[20, 20, 100, 80]]), np.ones(1)
    namespace = SimpleNamespace(MODEL=SimpleNamespace(**MODEL))
    for config in (CONFIG, SimpleNamespace(MODEL=MODEL), namespace):
        assert ViTDetDataset(config, BGR, box, right)[0]["box_size"] == pytest.approx(2.5 * 80 * 4 / 3)
    without_shape = SimpleNamespace(MODEL={k: v for k, v in MODEL.items() if k != "BBOX_SHAPE"})
    assert ViTDetDataset(without_shape, BGR, box, right)[0]["box_size"] == pytest.approx(2.5 * 80)


def test_can_be_copied() -> None:
    dataset = ViTDetDataset(CONFIG, BGR, np.array([[20, 20, 90, 100]]), np.ones(1))
    twin = copy.deepcopy(dataset)  # by the same protocol as a loader's worker gets it
    np.testing.assert_array_equal(twin[0]["img"], dataset[0]["img"])


def test_nothing_is_printed_and_nothing_changed(capsys: pytest.CaptureFixture[str]) -> None:
    before, boxes = BGR.copy(), np.array([[0.0, 0, 290, 190]])
    ViTDetDataset(CONFIG, BGR, boxes, np.zeros(1))[0]
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(BGR, before)
    np.testing.assert_array_equal(boxes, [[0, 0, 290, 190]])


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="train must be False"):
        ViTDetDataset(CONFIG, BGR, np.array([[0, 0, 5, 5]]), np.ones(1), train=True)
    with pytest.raises(ValueError, match=r"boxes\[0\]"):
        ViTDetDataset(CONFIG, BGR, np.array([[5, 5, 5, 5]]), np.ones(1))
    with pytest.raises(ValueError, match=r"boxes\[0\]"):
        ViTDetDataset(CONFIG, BGR, np.array([[5, 0, 2, 5]]), np.ones(1))
    assert len(ViTDetDataset(CONFIG, BGR, np.zeros((0, 4)), np.zeros(0))) == 0
    # A box without width is that of joints in one column: its crop is 2.5 times as high as it is, as every crop here.
    assert ViTDetDataset(CONFIG, BGR, np.array([[5, 0, 5, 5]]), np.ones(1))[0]["box_size"] == 12.5
