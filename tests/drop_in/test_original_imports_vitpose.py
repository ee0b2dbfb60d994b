"""The original's `vitpose_model`, by its import path and nothing else of this package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from vitpose_model import ViTPoseModel

_NAME = "ViTPose+-G (multi-task train, COCO)"


@pytest.fixture(scope="module")
def data_folder(golden: Path, fill_one: Callable[..., np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with `_DATA`, as the original's instructions leave it.

    The network is a narrow one under the width of a published size (ViTPose++ S, one block), with the golden weights'
    rule.
    """
    layout = json.loads((golden / "vitpose" / "layout.json").read_text())["reduced"]
    state = {}
    for name, (shape, dtype) in layout.items():
        if ".blocks.1." in name:
            continue
        shape = [{192: 384, 576: 1152, 768: 1536}.get(n, n) if "final" not in name else n for n in shape]
        filled = fill_one(name, tuple(shape))
        state[name] = torch.from_numpy(filled) if dtype == "float32" else torch.tensor(0)
    folder = tmp_path_factory.mktemp("original")
    path = folder / "_DATA" / "vitpose_ckpts" / "vitpose+_huge" / "wholebody.pth"
    path.parent.mkdir(parents=True)
    torch.save({"meta": {"mmcv_version": "1.3.9", "time": "now"}, "state_dict": state}, path)
    return folder


@pytest.fixture
def cpm(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> ViTPoseModel:
    """The model as the original's demo makes it."""
    monkeypatch.chdir(data_folder)
    monkeypatch.delenv("HAMER_DATA", raising=False)
    return ViTPoseModel(torch.device("cpu"))


@pytest.fixture(scope="module")
def photo(golden: Path, photos: Path) -> tuple[np.ndarray, np.ndarray]:
    """A BGR photo and detections (N, 5), of which two are persons above the gate."""
    case = json.loads((golden / "vitpose" / "cases.json").read_text())["photos"][0]
    image = cv2.imread(str(photos / case["file"]))
    assert image is not None
    return image, np.array(case["boxes_xyxy_score"], np.float32)


def test_as_the_originals_demo_calls_it(cpm: ViTPoseModel, photo: Any) -> None:
    img_cv2, rows = photo
    img = img_cv2.copy()[:, :, ::-1]
    pred_bboxes, pred_scores = rows[:, :4], rows[:, 4]
    vitposes_out = cpm.predict_pose(img, [np.concatenate([pred_bboxes, pred_scores[:, None]], axis=1)])
    assert len(vitposes_out) == 2  # scores 0.981, 0.913; 0.42 and exactly 0.5 are not above the gate
    for vitposes, row in zip(vitposes_out, rows, strict=False):
        np.testing.assert_array_equal(vitposes["bbox"], row)
        keypoints = vitposes["keypoints"]
        assert keypoints.shape == (133, 3)
        assert keypoints.dtype == np.float32
        left_hand_keyp, right_hand_keyp = keypoints[-42:-21], keypoints[-21:]
        assert left_hand_keyp.shape == right_hand_keyp.shape == (21, 3)


def test_the_gate_can_be_moved(cpm: ViTPoseModel, photo: Any) -> None:
    image, rows = photo
    assert len(cpm.predict_pose(image[:, :, ::-1], [rows], box_score_threshold=0.4)) == 4
    assert len(cpm.predict_pose(image[:, :, ::-1], [rows], box_score_threshold=0.95)) == 1


def test_pictures_are_rgb(cpm: ViTPoseModel, photo: Any) -> None:
    image, rows = photo
    (right,) = cpm.predict_pose(image[:, :, ::-1], [rows[:1]])
    (wrong,) = cpm.predict_pose(image, [rows[:1]])
    assert not np.allclose(right["keypoints"], wrong["keypoints"])


@pytest.mark.parametrize("boxes", [np.zeros((0, 5)), np.zeros((0, 5), np.float32), [], np.array([[0, 0, 9, 9, 0.5]])])
def test_nobody_above_the_gate_gives_an_empty_list(cpm: ViTPoseModel, photo: Any, boxes: Any) -> None:
    assert cpm.predict_pose(photo[0][:, :, ::-1], [boxes]) == []


def test_detections_with_other_classes_and_masks(cpm: ViTPoseModel, photo: Any) -> None:
    image, rows = photo
    rgb = image[:, :, ::-1]
    expected = cpm.predict_pose(rgb, [rows[:1]])[0]["keypoints"]
    others = [rows[:1], np.zeros((3, 5), np.float32)]
    np.testing.assert_array_equal(cpm.predict_pose(rgb, others)[0]["keypoints"], expected)
    np.testing.assert_array_equal(cpm.predict_pose(rgb, (others, None))[0]["keypoints"], expected)


@pytest.mark.parametrize(("detections", "message"), [([], "first, got nothing"), ([np.zeros((2, 4))], r"got \(2, 4\)")])
def test_other_shapes_are_refused(cpm: ViTPoseModel, detections: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cpm.predict_pose(np.zeros((8, 8, 3), np.uint8), detections)


def test_names_that_scripts_look_at(cpm: ViTPoseModel) -> None:
    assert cpm.device == torch.device("cpu")
    assert cpm.model_name == _NAME
    assert ViTPoseModel.MODEL_DICT[_NAME]["model"].endswith("_DATA/vitpose_ckpts/vitpose+_huge/wholebody.pth")
    cpm.set_model(_NAME)
    with pytest.raises(ValueError, match="name must be one of"):
        cpm.set_model("ViTPose-B")


def test_results_are_drawn_on_a_copy(cpm: ViTPoseModel, photo: Any) -> None:
    image = np.ascontiguousarray(photo[0][:, :, ::-1])
    before = image.copy()
    found, drawn = cpm.predict_pose_and_visualize(image, [photo[1]], 0.5, 0.0, 4, 1)
    assert len(found) == 2
    np.testing.assert_array_equal(image, before)
    assert drawn.shape == image.shape
    assert (drawn != image).any()


def test_absent_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path))
    monkeypatch.delenv("HAMER_DATA", raising=False)
    with pytest.raises(OSError, match="hamer fetch"):
        ViTPoseModel("cpu")
