"""Which found hand is which true one, by their boxes; and what that says about the detector."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hamer.geometry.boxes import iou_matrix

MIN_IOU = 0.3
"""Overlap from which a found hand counts as the true one, box of joints over box of joints."""


def match_boxes(true_boxes: np.ndarray, found_boxes: np.ndarray, min_iou: float = MIN_IOU) -> dict[int, int]:
    """True hand to found hand, one to one, the best overlaps first; sides do not matter.

    A hand found with the wrong side is found, and counts against the share of right sides instead: its mesh is wrong, and
    its errors say so.

    Args:
        true_boxes: (N, 4) xyxy px; rows that are not finite match nothing. found_boxes: (M, 4).
    """
    true, found = np.asarray(true_boxes, np.float64).reshape(-1, 4), np.asarray(found_boxes, np.float64).reshape(-1, 4)
    overlap = np.nan_to_num(iou_matrix(true, found))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        t, f = divmod(int(flat), len(found))
        if overlap[t, f] < min_iou:
            break
        if t not in pairs and f not in taken:
            pairs[t] = f
            taken.add(f)
    return pairs


@dataclass(frozen=True)
class DetectionSummary:
    """Counts of a detector on annotated pictures; shares are None where there is nothing to divide by.

    Attributes:
        pictures: that were looked at.
        hands: annotated; found: of them matched by a found hand.
        predicted: hands found in all; false_positives: those that match no annotated hand. A picture may show hands that
            nobody annotated: look before calling one false.
        sides_known: matched hands whose true side is known; sides_right: those of the same side.
    """

    pictures: int
    hands: int
    found: int
    predicted: int
    false_positives: int
    sides_known: int
    sides_right: int

    @property
    def recall(self) -> float | None:
        """Found over annotated."""
        return self.found / self.hands if self.hands else None

    @property
    def precision(self) -> float | None:
        """Matched over found in all."""
        return (self.predicted - self.false_positives) / self.predicted if self.predicted else None

    @property
    def side_accuracy(self) -> float | None:
        """Of the matched hands with a known side, how many have it right."""
        return self.sides_right / self.sides_known if self.sides_known else None

    def as_dict(self) -> dict[str, Any]:
        """For json."""
        shares = {name: getattr(self, name) for name in ("recall", "precision", "side_accuracy")}
        return {**asdict(self), **shares}
