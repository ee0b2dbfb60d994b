"""From scores of many overlapping boxes to the detections of a picture."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from hamer.detectors.rcnn.box_coding import clip_boxes
from hamer.detectors.rcnn.nms import batched_nms

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SelectionRule:
    """What counts as a detection: scores above `score_threshold`, not covered (IoU above `overlap`) by a better box of
    the same class, at most `most` in a picture."""

    score_threshold: float
    overlap: float
    most: int = 100


class Selected(NamedTuple):
    """Detections of one picture, scores descending: boxes (N, 4) xyxy px of the network's input, scores (N,), classes
    (N,) int64, and the input row that each comes from, (N,) int64."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    rows: Tensor


def select_detections(boxes: Tensor, scores: Tensor, size: tuple[int, int], rule: SelectionRule) -> Selected:
    """The detections among K boxes.

    Args:
        boxes: (K, 4), one box for all classes, or (K, 4 C), one for each.
        scores: (K, C + 1) probabilities; the last column is the background's.
        size: (height, width) of the picture without padding; boxes are clipped to it.
        rule: thresholds.

    Rows with a number that is not finite are dropped, as the original does, and logged. (The original counts its rows
    after that; ours are those of the input.)
    """
    boxes, scores = boxes.float(), scores.float()
    finite = boxes.isfinite().all(1) & scores.isfinite().all(1)
    if not bool(finite.all()):
        _LOG.warning(
            "%d of %d boxes have numbers that are not finite and are dropped: weights are damaged or the precision is too low",
            int((~finite).sum()),
            len(finite),
        )
    chosen = (scores[:, :-1] > rule.score_threshold) & finite[:, None]
    rows, classes = chosen.nonzero(as_tuple=True)
    by_class = boxes.unflatten(1, (-1, 4))
    candidates = clip_boxes(by_class[rows, classes if by_class.shape[1] > 1 else 0], size)
    values = scores[rows, classes]
    kept = batched_nms(candidates, values, classes, rule.overlap)[: rule.most]
    return Selected(candidates[kept], values[kept], classes[kept], rows[kept])
