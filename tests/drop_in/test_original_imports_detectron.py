"""The original's person detector as its demo uses it, on a photo's way from BGR to boxes of persons."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from hamer.detectors.regnety import RegNetY
from hamer.detectors.vitdet import VitDet
from hamer.errors import AssetError
from hamer.structures import Detections
from hamer.utils.utils_detectron2 import DefaultPredictor_Lazy

BOXES = np.array([[10, 20, 110, 220], [5, 5, 50, 40], [1, 2, 30, 40], [3, 4, 50, 60]], np.float32)
SCORES = np.array([0.9, 0.8, 0.6, 0.4], np.float32)
CLASSES = np.array([0, 17, 0, 0])
REGNETY = "https://dl.fbaipublicfiles.com/detectron2/new_baselines/mask_rcnn_regnety_4gf_dds_FPN_400ep_LSJ/42045954/model_final_ef3a80.pkl"
VITDET = (
    "https://dl.fbaipublicfiles.com/detectron2/ViTDet/COCO/cascade_mask_rcnn_vitdet_h/f328730692/model_final_f05665.pkl"
)


class Finder:
    """A detector that finds the same things in every picture, and keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        self.seen += images
        return [Detections(BOXES, SCORES, CLASSES) for _ in images]


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Detectors load nothing, and are listed when they would."""
    loaded: list[Any] = []
    for kind in (RegNetY, VitDet):
        monkeypatch.setattr(kind, "load", lambda self: loaded.append(self))
    return loaded


def test_the_demos_lines() -> None:
    finder = Finder()
    detector = DefaultPredictor_Lazy(finder)
    img_cv2 = np.zeros((300, 400, 3), np.uint8)
    img_cv2[..., 0] = 7  # blue
    det_out = detector(img_cv2)
    assert finder.seen[0][0, 0].tolist() == [0, 0, 7]  # RGB
    assert finder.seen[0].flags["C_CONTIGUOUS"]

    det_instances = det_out["instances"]
    valid_idx = (det_instances.pred_classes == 0) & (det_instances.scores > 0.5)
    pred_bboxes = det_instances.pred_boxes.tensor[valid_idx].cpu().numpy()
    pred_scores = det_instances.scores[valid_idx].cpu().numpy()
    np.testing.assert_array_equal(pred_bboxes, BOXES[[0, 2]])
    np.testing.assert_array_equal(pred_scores, SCORES[[0, 2]])


def test_instances_as_detectron2_has_them() -> None:
    instances = DefaultPredictor_Lazy(Finder())(np.zeros((300, 400, 3), np.uint8))["instances"].to("cpu")
    assert len(instances) == 4
    assert instances.image_size == (300, 400)
    assert instances.has("pred_boxes")
    assert set(instances.get_fields()) == {"pred_boxes", "scores", "pred_classes"}
    persons = instances[instances.pred_classes == 0]
    assert len(persons) == len(persons.pred_boxes) == 3
    assert persons.get("scores").tolist() == pytest.approx([0.9, 0.6, 0.4])
    assert instances[1].pred_boxes.tensor.tolist() == [BOXES[1].tolist()]
    assert instances[-1].scores.tolist() == pytest.approx([0.4])
    assert len(instances[1:3]) == 2
    assert instances.pred_boxes[0].tensor.shape == (1, 4)
    assert [b.tolist() for b in instances.pred_boxes] == BOXES.tolist()
    assert instances.pred_boxes.area().tolist() == pytest.approx([100 * 200, 45 * 35, 29 * 38, 47 * 56])
    assert isinstance(instances.pred_classes, torch.Tensor)
    with pytest.raises(IndexError):
        instances[4]
    with pytest.raises(AttributeError, match=r"pred_masks.*not computed.*pred_boxes, scores, pred_classes"):
        _ = instances.pred_masks


def test_no_detections() -> None:
    empty = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    instances = DefaultPredictor_Lazy(lambda images: [empty])(np.zeros((30, 40, 3), np.uint8))["instances"]
    assert len(instances) == 0
    assert instances.pred_boxes.tensor[instances.scores > 0.5].shape == (0, 4)


@pytest.mark.parametrize(("name", "kind"), [("vitdet", VitDet), ("regnety", RegNetY)])
def test_by_name(nothing_loaded: list[Any], name: str, kind: type) -> None:
    predictor = DefaultPredictor_Lazy(name)
    assert type(predictor.model) is kind
    assert nothing_loaded == [predictor.model]
    assert predictor.model.rule == kind.selection  # type: ignore[attr-defined]


def test_configuration_of_vitdet(nothing_loaded: list[Any]) -> None:
    """The lines of the original's demo, on a configuration as LazyConfig gives it."""
    cfg = OmegaConf.create({"train": {"init_checkpoint": ""}, "model": {"roi_heads": {"box_predictors": [{}, {}, {}]}}})
    cfg.train.init_checkpoint = VITDET
    for i in range(3):
        cfg.model.roi_heads.box_predictors[i].test_score_thresh = 0.3
    model: Any = DefaultPredictor_Lazy(cfg).model
    assert isinstance(model, VitDet)
    assert (model.rule.score_threshold, model.rule.overlap, model.weights) == (0.3, 0.5, None)


def test_configuration_of_regnety(nothing_loaded: list[Any]) -> None:
    cfg = OmegaConf.create({"train": {"init_checkpoint": REGNETY}, "model": {"roi_heads": {"box_predictor": {}}}})
    cfg.model.roi_heads.box_predictor.test_score_thresh = 0.6
    cfg.model.roi_heads.box_predictor.test_nms_thresh = 0.3
    model: Any = DefaultPredictor_Lazy(cfg).model
    assert isinstance(model, RegNetY)
    assert (model.rule.score_threshold, model.rule.overlap) == (0.6, 0.3)


def test_configuration_with_a_file(nothing_loaded: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "model_final_ef3a80.pkl"
    path.touch()
    model: Any = DefaultPredictor_Lazy(SimpleNamespace(train=SimpleNamespace(init_checkpoint=str(path)))).model
    assert isinstance(model, RegNetY)
    assert model.weights == str(path)
    assert model.rule == RegNetY.selection


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ("maskrcnn", r'"vitdet" or "regnety".*\'maskrcnn\''),
        (3, r"train.init_checkpoint, got int"),
        (OmegaConf.create({"model": {}}), "got DictConfig"),
        (
            OmegaConf.create({"train": {"init_checkpoint": "a/model_final_b275ba.pkl"}}),
            "must name one of model_final_f05665.pkl",
        ),
    ],
)
def test_wrong_configurations(cfg: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DefaultPredictor_Lazy(cfg)


def test_missing_weights_name_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path))
    monkeypatch.delenv("HAMER_DATA", raising=False)
    with pytest.raises(AssetError, match="hamer fetch regnety"):
        DefaultPredictor_Lazy("regnety")


@pytest.mark.parametrize("picture", ["photo.jpg", [np.zeros((3, 3, 3), np.uint8)], np.zeros((2, 3, 4, 3), np.uint8)])
def test_what_is_no_picture(picture: Any) -> None:
    with pytest.raises(ValueError, match="one BGR uint8 picture"):
        DefaultPredictor_Lazy(Finder())(picture)


def test_instances_can_be_copied() -> None:
    instances = DefaultPredictor_Lazy(Finder())(np.zeros((300, 400, 3), np.uint8))["instances"]
    for other in (copy.copy(instances), copy.deepcopy(instances)):
        assert other.image_size == (300, 400)
        torch.testing.assert_close(other.pred_boxes.tensor, instances.pred_boxes.tensor)
