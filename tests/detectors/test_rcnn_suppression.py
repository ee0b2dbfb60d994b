"""Suppression and RoIAlign: our plain versions against plain definitions, and when torchvision's are used instead."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from hamer.detectors.rcnn import nms as suppression
from hamer.detectors.rcnn.nms import batched_nms, nms, plain_batched_nms, plain_nms
from hamer.detectors.rcnn.operators import torchvision_ops
from hamer.detectors.rcnn.roi_align import plain_roi_align, roi_align


@pytest.fixture(autouse=True)
def ask_again() -> Iterator[None]:
    """Each test finds out anew whether there is a torchvision."""
    torchvision_ops.cache_clear()
    yield
    torchvision_ops.cache_clear()


def one_after_the_other(boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, threshold: float) -> list[int]:
    """Greedy suppression as it is defined; like the original on CPUs it compares a float32 IoU with a double threshold."""
    low, high = np.maximum(boxes[:, None, :2], boxes[None, :, :2]), np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common, area = np.maximum(high - low, 0).prod(-1), (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    together = area[:, None] + area - common
    iou = np.divide(common, together, out=np.zeros_like(common), where=together > 0).astype(np.float32)
    covers = (iou.astype(np.float64) > threshold) & (groups[:, None] == groups)
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if not covers[i, kept].any():
            kept.append(int(i))
    return kept


def crowd(number: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes that overlap much, on a coarse grid so that IoUs and scores tie, some without area."""
    rng = np.random.default_rng(seed)
    corner, size = rng.integers(0, 30, (number, 2)), rng.integers(0, 12, (number, 2))
    boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)
    scores = rng.integers(0, 50, number).astype(np.float32) / 50
    return torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(rng.integers(0, 3, number))


@pytest.mark.parametrize("block", [8, 64, 2048], ids=lambda block: f"block {block}")
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_suppression_is_the_greedy_one(block: int, threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression, "_BLOCK", block)
    boxes, scores, groups = crowd(300)
    exact = [x.double().numpy() for x in (boxes, scores)]
    assert plain_nms(boxes, scores, threshold).tolist() == one_after_the_other(*exact, np.zeros(300), threshold)
    assert plain_batched_nms(boxes, scores, groups, threshold).tolist() == one_after_the_other(
        *exact, groups.numpy(), threshold
    )


@pytest.mark.parametrize("threshold", [0.4, 0.5, 0.7])
def test_suppression_of_the_original(golden: Path, threshold: float) -> None:
    units = np.load(golden / "detectors" / "units.npz")
    boxes, scores, classes = (torch.from_numpy(units[f"nms.{name}"]) for name in ("boxes", "scores", "classes"))
    for function in (batched_nms, plain_batched_nms):
        np.testing.assert_array_equal(
            function(boxes, scores, classes, threshold).numpy(), units[f"nms.keep_{threshold}"]
        )


def test_a_chain_of_boxes_keeps_every_second() -> None:
    # each overlaps only its neighbours, so that whether the last stays depends on the first
    left = torch.arange(100.0)
    boxes = torch.stack([left, torch.zeros(100), left + 1.8, torch.ones(100)], 1)
    assert plain_nms(boxes, -left, 0.2).tolist() == list(range(0, 100, 2))


def test_nothing_in_nothing_out() -> None:
    none = torch.zeros(0, 4)
    for kept in (nms(none, none[:, 0], 0.5), batched_nms(none, none[:, 0], none[:, 0].long(), 0.5)):
        assert kept.shape == (0,)
        assert kept.dtype == torch.int64
    assert roi_align(torch.ones(1, 3, 8, 8), [none], spatial_scale=1.0).shape == (0, 3, 7, 7)


def sample_by_sample(features: np.ndarray, box: np.ndarray, bins: int, scale: float) -> np.ndarray:
    """RoIAlign as it is defined: (C, H, W) and a box (4,) to (C, bins, bins)."""
    result = np.zeros((len(features), bins, bins))
    (x0, y0, x1, y1), (height, width) = box * scale - 0.5, features.shape[1:]
    counts = [math.ceil((y1 - y0) / bins), math.ceil((x1 - x0) / bins)]

    def at(y: float, x: float) -> np.ndarray:
        if not (-1 <= y <= height and -1 <= x <= width):
            return np.zeros(len(features))
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
        upper = features[:, top, left] * (1 - x + left) + features[:, top, right] * (x - left)
        lower = features[:, bottom, left] * (1 - x + left) + features[:, bottom, right] * (x - left)
        return upper * (1 - y + top) + lower * (y - top)

    for i, j in np.ndindex(bins, bins):
        for a, b in np.ndindex(*counts):
            y = y0 + (i + (a + 0.5) / counts[0]) * (y1 - y0) / bins
            x = x0 + (j + (b + 0.5) / counts[1]) * (x1 - x0) / bins
            result[:, i, j] += at(y, x) / (counts[0] * counts[1])
    return result


@pytest.mark.parametrize("most", [1, 1 << 24], ids=["a box at a time", "all at once"])
def test_pooling_is_the_mean_of_samples(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hamer.detectors.rcnn.roi_align._MOST_GATHERED", most)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((2, 3, 20, 30)).astype(np.float32)
    centre, size = rng.uniform(-10, 130, (40, 2)), rng.uniform(0, 90, (40, 2)) * rng.choice([0.02, 1], (40, 2))
    boxes = np.concatenate([centre - size / 2, centre + size / 2], 1).astype(np.float32)
    boxes[0], boxes[1], boxes[2] = (0, 0, 120, 80), (30, 30, 30, 50), (500, 500, 600, 600)
    picture = rng.integers(0, 2, 40)
    rois = torch.from_numpy(np.concatenate([picture[:, None], boxes], 1).astype(np.float32))
    ours = plain_roi_align(torch.from_numpy(features), rois, 5, spatial_scale=0.25)
    for n, (index, box) in enumerate(zip(picture, boxes, strict=True)):
        # a sample's place is rounded to 1e-6 px, its value changes by a few per px
        np.testing.assert_allclose(ours[n].numpy(), sample_by_sample(features[index], box, 5, 0.25), atol=2e-5)


def test_boxes_that_are_no_numbers_give_zeros() -> None:
    boxes = torch.tensor([[0.0, float("nan"), 1.0, 6.0, 6.0], [0.0, 1.0, 1.0, 6.0, 6.0]])
    ours = plain_roi_align(torch.ones(1, 2, 8, 8), boxes, 3, spatial_scale=1.0)
    torch.testing.assert_close(ours.flatten(1).mean(1), torch.tensor([0.0, 1.0]))


def test_boxes_longer_than_any_usual_map() -> None:
    features = torch.arange(300.0).repeat(1, 1, 2, 1)
    ours = plain_roi_align(features, torch.tensor([[0.0, 0.0, 0.0, 300.0, 2.0]]), 2, spatial_scale=1.0)
    # column x holds the value x at x + 0.5 px, so the halves' centres at 75 and 225 px hold half less
    torch.testing.assert_close(ours[0, 0, 0], torch.tensor([74.5, 224.5]), rtol=0, atol=0.01)


def test_a_list_of_boxes_is_one_for_each_picture() -> None:
    features = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)])
    box = torch.tensor([[1.0, 1.0, 6.0, 6.0]])
    assert roi_align(features, [box, box.repeat(2, 1)], 2, spatial_scale=1.0).mean((1, 2, 3)).tolist() == [0, 1, 1]


def test_lower_precisions_are_pooled_in_float32() -> None:
    features = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    box = torch.tensor([[0.0, 1.0, 1.0, 12.0, 11.0]])
    ours = roi_align(features, box, spatial_scale=1.0)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, roi_align(features.float(), box, spatial_scale=1.0))


class FakeOps(SimpleNamespace):
    """torchvision.ops as this package uses it, by our own functions; counts its calls."""

    def __init__(self) -> None:
        super().__init__(calls=[])

    def nms(self, boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
        self.calls.append("nms")
        return plain_nms(boxes, scores, threshold)

    def batched_nms(self, boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
        self.calls.append("batched_nms")
        return plain_batched_nms(boxes, scores, groups, threshold)

    def roi_align(
        self,
        features: Tensor,
        boxes: Tensor | list[Tensor],
        size: int,
        scale: float = 1.0,
        ratio: int = -1,
        aligned: bool = False,
    ) -> Tensor:
        self.calls.append("roi_align")
        assert ratio <= 0, "the number of samples must be adaptive"
        assert aligned
        rois = boxes if isinstance(boxes, Tensor) else torch.cat([torch.zeros(len(boxes[0]), 1), boxes[0]], 1)
        return plain_roi_align(features, rois, size, spatial_scale=scale)


def test_torchvision_is_used_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeOps()
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(ops=fake))
    monkeypatch.setitem(sys.modules, "torchvision.ops", fake)
    assert torchvision_ops("cpu") is fake
    fake.calls.clear()
    boxes, scores, groups = crowd(20)
    nms(boxes, scores, 0.5)
    batched_nms(boxes, scores, groups, 0.5)
    roi_align(torch.ones(1, 1, 8, 8), [boxes], spatial_scale=0.5)
    assert fake.calls == ["nms", "batched_nms", "roi_align"]


def no_operators(*_: object) -> Tensor:
    raise RuntimeError("operator torchvision::nms does not exist")


def wrong(*_: object) -> Tensor:
    return torch.tensor([0, 1])


@pytest.mark.parametrize("broken_nms", [no_operators, wrong], ids=["built for another torch", "wrong answers"])
def test_a_torchvision_that_does_not_work_is_not_used(broken_nms: object, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeOps()
    fake.nms = broken_nms
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(ops=fake))
    monkeypatch.setitem(sys.modules, "torchvision.ops", fake)
    assert torchvision_ops("cpu") is None
    boxes, scores, _ = crowd(50)
    assert nms(boxes, scores, 0.5).tolist() == plain_nms(boxes, scores, 0.5).tolist()


def test_no_torchvision_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)  # importing it raises ImportError
    assert torchvision_ops("cpu") is None
