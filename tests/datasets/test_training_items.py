"""get_example and tar items against the original's, with its random augmentation replaced by the fixed values of the golden set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hamer.crops import IMAGE_MEAN, IMAGE_STD
from hamer.datasets import utils
from hamer.datasets.tar_items import process_tar_item

STD = 255 * np.asarray(IMAGE_STD)
VALUES = "augmentations (scale, rot, do_flip, do_extreme_crop, extreme_crop_lvl, color_scale, tx, ty)"


class Items:
    """One of the two golden files and what the json says of it."""

    def __init__(self, golden: Path, kind: str) -> None:
        described = json.loads((golden / "hamer" / "train_items.json").read_text())
        self.values, self.cases = described[VALUES], described[kind]
        self._arrays = np.load(golden / "hamer" / f"{kind}.npz")

    def arrays(self, case: int, side: str) -> dict[str, np.ndarray]:
        start = f"{case}.{side}."
        return {name.removeprefix(start): self._arrays[name] for name in self._arrays.files if name.startswith(start)}


def assert_images(img: np.ndarray, expected: np.ndarray) -> None:
    """The golden pictures were made with OpenCV 5 and stored as float16 (2e-3): 8 grey levels a pixel, 0.3 in the mean."""
    grey = np.abs(img - expected.astype(np.float32)) * STD[:, None, None]
    assert grey.max() <= 8
    assert grey.mean() <= 0.3


def fix_augmentation(monkeypatch: pytest.MonkeyPatch, values: Any) -> None:
    monkeypatch.setattr(utils, "do_augmentation", lambda config: values)


@pytest.mark.parametrize("case", range(11))
def test_get_example(case: int, golden: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = Items(golden, "get_example")
    described, given, expected = items.cases[case], items.arrays(case, "in"), items.arrays(case, "out")
    fix_augmentation(monkeypatch, items.values.get(described["augmentation"]))
    pose, size, before = given["hand_pose"], float(given["size"]), given["keypoints_2d"].copy()
    result = utils.get_example(
        str(photos / described["photo"]),
        *map(float, given["center"]),
        size,
        size,
        given["keypoints_2d"],
        given["keypoints_3d"],
        {"global_orient": pose[:3], "hand_pose": pose[3:], "betas": given["betas"]},
        {"global_orient": 1.0, "hand_pose": 1.0, "betas": 1.0},
        list(range(21)),
        256,
        256,
        255 * np.asarray(IMAGE_MEAN),
        STD,
        described["do_augment"],
        bool(given["right"]),
        None,
        return_trans=True,
        **described["options"],
    )
    img, points_2d, points_3d, params, has_params, img_size, trans = result
    assert_images(img, expected["img"])
    if "use_skimage_antialias" in described["options"]:  # smooth: only float16's rounding is left
        assert np.abs(img - expected["img"].astype(np.float32)).max() <= 2e-3
    # float32 sums of a few terms below 10; the golden set asks for 1e-4 and 1e-5
    np.testing.assert_allclose(points_2d, expected["keypoints_2d"], atol=1e-5)
    np.testing.assert_allclose(points_3d, expected["keypoints_3d"], atol=1e-6)
    np.testing.assert_allclose(params["global_orient"], expected["mano_params.global_orient"], atol=1e-5)
    np.testing.assert_allclose(params["hand_pose"], expected["mano_params.hand_pose"], atol=1e-6)
    np.testing.assert_array_equal(params["betas"], expected["mano_params.betas"])
    np.testing.assert_allclose(trans, expected["trans"], atol=1e-9)  # float64, the same formula
    np.testing.assert_array_equal(img_size, expected["img_size"])
    assert has_params == {"global_orient": 1.0, "hand_pose": 1.0, "betas": 1.0}
    np.testing.assert_array_equal(given["keypoints_2d"], before)


def mask_of(kind: str, picture: np.ndarray, center_x: float) -> np.ndarray:
    columns = np.broadcast_to(np.arange(picture.shape[1]), picture.shape[:2])
    return {"ones": columns >= 0, "half": columns < center_x, "none": columns < 0}[kind]


@pytest.mark.parametrize("case", range(4))
def test_tar_item(case: int, golden: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = Items(golden, "tar_item")
    described, given, expected = items.cases[case], items.arrays(case, "in"), items.arrays(case, "out")
    fix_augmentation(monkeypatch, items.values.get(described["augmentation"]))
    picture = cv2.cvtColor(cv2.imread(str(photos / described["photo"])), cv2.COLOR_BGR2RGB)
    shape = described["bbox_shape"]
    item = process_tar_item(
        picture,
        mask_of(described["mask"], picture, float(given["center"][0])),
        given,
        train=described["train"],
        bbox_shape=None if shape is None else tuple(shape),
        imgname=described["photo"],
    )
    assert {name: type(value).__name__ for name, value in item.items()} == described["fields"]
    assert_images(item["img"], expected["img"])
    # The mask is a channel of the same warp: OpenCV 5 differs by up to 1/32 px, 8 of 255 levels at its edge
    assert np.abs(item["mask"] - expected["mask"].astype(np.float32)).max() <= 8 / 255
    for name, value in expected.items():
        outer, _, inner = name.partition(".")
        got = item[outer][inner] if inner else item[outer]
        if value.dtype.kind == "U":
            assert got == str(value)
        elif name not in ("img", "mask"):
            assert np.asarray(got).dtype == value.dtype, name
            np.testing.assert_allclose(np.asarray(got, float), value.astype(float), atol=1e-5, err_msg=name)


def test_no_mask_is_a_mask_of_ones() -> None:
    annotation = {
        "keypoints_2d": np.zeros((21, 3)),
        "keypoints_3d": np.zeros((21, 4)),
        "center": (20.0, 20.0),
        "scale": (0.1, 0.1),
        "hand_pose": np.zeros(48),
        "betas": np.zeros(10),
        "right": 1,
        "has_hand_pose": 0,
        "has_betas": 0,
    }
    picture = np.zeros((40, 40, 3), np.uint8)
    assert (process_tar_item(picture, None, annotation)["mask"] == 1).all()
    with pytest.raises(ValueError, match="scale must give a box"):
        process_tar_item(picture, None, {**annotation, "scale": (0.0, 0.0)})


def test_unreadable_and_wrong_pictures(tmp_path: Path) -> None:
    rest: tuple[Any, ...] = (5, 5, 8, 8, np.zeros((21, 3)), np.zeros((21, 4)), {}, {}, range(21), 32, 32)
    rest = (*rest, None, None, False, True, None)
    with pytest.raises(ValueError, match="could not be read"):
        utils.get_example(str(tmp_path / "absent.jpg"), *rest)
    with pytest.raises(TypeError, match="path or a picture"):
        utils.get_example(3, *rest)  # type: ignore[arg-type]
