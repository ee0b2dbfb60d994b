"""What a network is shown of each hand: the square around its box, or one that is turned so that the hand points up. N hands.

A network that learned from upright crops (`MODEL.UPRIGHT`) is shown such ones, too. A detector's joints tell which way a hand
points. Where there are none, the network looks twice: at the box as it is, and then as the joints that it saw there tell.
A box that only an arm tells is off, and smaller than its hand more often than not: there the first look is wider, and a third
follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hamer.crops.upright import hand_rotation, upright_view
from hamer.geometry.boxes import boxes_from_keypoints
from hamer.pipeline.network_inputs import NetworkInputs, believed_points
from hamer.structures import HandBoxes

ROUGH_WIDTH = 1.25
"""Width of the first view of a hand that only its arm shows, in its box's: such boxes have 0.62 to 1.06 of the hand's size."""

ROUGH_LOOKS = 3
"""Looks at such a hand; one more than at others of which nothing tells how they point."""

CLOSER_SIZES = (0.7, 2.0)
"""Sizes, in those of the view before, of one that is to be believed: a mitten of which the network sees a piece as a hand is not
to shrink to that."""


@dataclass(frozen=True)
class Views:
    """`boxes` (N, 4) xyxy px that crops are made of; `rotation` (N,) degrees by which these are turned about their centres,
    clockwise as seen, NaN for those that stay as they are.
    """

    boxes: np.ndarray
    rotation: np.ndarray

    @classmethod
    def first(
        cls, hands: HandBoxes, limits: np.ndarray, inputs: NetworkInputs, is_rough: np.ndarray | bool = False
    ) -> Views:
        """The boxes as they were found, or what shows the detector's joints upright, if the network is to see hands so.

        Args:
            limits: (N, 2) width and height of each hand's picture, px.
            is_rough: (N,) hands that only their arms show: their views are wider.
        """
        wider = _enlarged(hands.boxes, ROUGH_WIDTH)
        rough = np.broadcast_to(is_rough, len(hands)) & inputs.can_be_cropped(wider)
        as_found = cls(np.where(rough[:, None], wider, hands.boxes), np.full(len(hands), np.nan))
        if not inputs.upright or hands.keypoints_2d is None:
            return as_found
        points = np.where(believed_points(hands)[..., None], hands.keypoints_2d[..., :2].astype(np.float64), np.nan)
        return as_found._around(points, limits, inputs, turned=True)

    def closer(self, seen: np.ndarray, limits: np.ndarray, inputs: NetworkInputs) -> Views:
        """The squares around the joints (N, 21, 2) px that the network saw in these."""
        return self._around(seen, limits, inputs, turned=inputs.upright)

    def __getitem__(self, rows: np.ndarray) -> Views:
        """Those of the hands that `rows` (indices or mask) selects."""
        return Views(self.boxes[rows], self.rotation[rows])

    def _around(self, points: np.ndarray, limits: np.ndarray, inputs: NetworkInputs, *, turned: bool) -> Views:
        """Squares around the points, upright where `turned`; where these are no hand in the box that was, the box stays."""
        rotation = hand_rotation(points) if turned else np.full(len(points), np.nan)
        boxes = self.boxes.copy()
        for row in np.flatnonzero(np.isfinite(points).all((-1, -2))):
            if np.isfinite(rotation[row]):
                boxes[row] = upright_view(points[row], float(rotation[row]), tuple(limits[row].tolist())).box
            else:
                boxes[row] = boxes_from_keypoints(points[row : row + 1])[0]
        believed = _is_within(boxes, self.boxes) & inputs.can_be_cropped(boxes)
        return Views(np.where(believed[:, None], boxes, self.boxes), rotation)


def _enlarged(boxes: np.ndarray, by: float) -> np.ndarray:
    """(N, 4): the boxes, `by` times as wide and as high about their centres."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, by / 2 * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([middle - half, middle + half], -1)


def _is_within(boxes: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(N,): which boxes have their centre in the ones before and a size that is not far from theirs."""
    with np.errstate(invalid="ignore"):
        sizes, sizes_before = ((b[:, 2:] - b[:, :2]).max(-1) for b in (boxes, before))
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        within = (centres > before[:, :2]).all(-1) & (centres < before[:, 2:]).all(-1)
        within &= (sizes > CLOSER_SIZES[0] * sizes_before) & (sizes < CLOSER_SIZES[1] * sizes_before)
    return np.asarray(within & np.isfinite(boxes).all(-1))


def picture_limits(images: Sequence[np.ndarray], picture_index: np.ndarray) -> np.ndarray:
    """(N, 2): width and height of each hand's picture, px."""
    return np.array([images[int(i)].shape[1::-1] for i in picture_index], np.int64).reshape(-1, 2)
