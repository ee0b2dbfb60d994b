"""Where bodies have their hands: the ends of arms.

The palm detector needs a hand of some 20 px that looks like one; an arm shows where a hand in a ski glove is that has
neither fingers nor skin. So the original and the paper find hands: person, keypoints, a box around each hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.detectors.arms import Body
from hamer.detectors.bodies import Bodies
from hamer.detectors.regions import COLOR, GREY, Regions
from hamer.detectors.rows import Rows
from hamer.detectors.wholebody.keypoints import N_KEYPOINTS
from hamer.geometry.boxes import iou_matrix
from hamer.geometry.directions import upward_angle
from hamer.structures import HandBoxes

# BlazePose's points of COCO's body, in COCO's order; and of the two hands, left before right.
_COCO = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_TRUNK = (11, 12, 23, 24)
_ELBOWS, _WRISTS, _LITTLE, _INDEX = (13, 14), (15, 16), (17, 18), (19, 20)

_HAND = 0.19
"""Length of an adult's hand, m."""

_LEAST_SEEN = 0.4
"""Of a wrist and of its hand's points."""

_HALF_SPREAD = 0.3
"""Disagreement of several looks at a hand's place, in its lengths, at which half of what is sure is lost."""

_BOX, _BEYOND = 0.8, 0.2
"""Side of a hand's box in lengths of a stretched hand, and how far beyond the base of the middle finger its centre lies, in
parts of the way from the wrist to there: medians over hands that are seen clearly."""

_REACH = 0.6
"""Distance in lengths of the hand between two points that may be one wrist."""

_LEAST_ALONE, _LEAST_LENGTH, _MOST_LENGTH, _SAME = 0.5, 12.0, 64.0, 0.3
"""Of a hand that only its arm shows: score, px; overlap (IoU) with another that makes them one."""

_VIEWS = (2.0, 2.8)  # sides of the regions that are looked at, in lengths of the hand


@dataclass
class ArmEnds(Rows):
    """N hands that bodies must have.

    `wrists`, `middles` (N, 2) px: the wrist, and the base of the middle finger, a third of the way from index to little
    finger; `forearms` (N, 2) px from the elbow to the wrist; `lengths` (N,) px of a stretched hand there; `is_right` (N,);
    `scores` (N,) that the body is there and its hand not hidden.
    """

    wrists: np.ndarray
    middles: np.ndarray
    forearms: np.ndarray
    lengths: np.ndarray
    is_right: np.ndarray
    scores: np.ndarray

    def boxes(self) -> np.ndarray:
        """Boxes (N, 4) xyxy px of hands that are bent as hands mostly are."""
        half = _BOX * self.lengths[:, None] / 2
        centres = self.middles + _BEYOND * (self.middles - self.wrists)
        return np.concatenate([centres - half, centres + half], -1)

    def regions(self) -> list[Regions]:
        """Where to look for each hand: along the palm and along the arm, near and far, with and without colours."""
        along = (upward_angle(self.wrists, self.middles), upward_angle(np.zeros_like(self.forearms), self.forearms))
        return [
            Regions.of(self.middles, size * self.lengths, angle).changed(tone=tone)
            for angle in along
            for size in _VIEWS
            for tone in (COLOR, GREY)
        ]

    def led_to(self, hands: np.ndarray) -> np.ndarray:
        """Which of the hands with joints (H, 21, 2) px each arm may lead to, (N, H) bool."""
        near = np.linalg.norm(hands[None, :, 0] - self.wrists[:, None], axis=-1) < _REACH * self.lengths[:, None]
        low, high = hands.min(1), hands.max(1)
        within = (self.middles[:, None] > low) & (self.middles[:, None] < high)
        return near | within.all(-1)

    def hidden(self, hands: np.ndarray, min_score: float) -> HandBoxes:
        """Hands of which only the arm is seen, beside those with joints (H, 21, 2) px: without keypoints.

        Only small ones: of a larger hand the landmark model sees something, or it is behind something.
        """
        sure = self.scores >= max(min_score, _LEAST_ALONE)
        small = (self.lengths >= _LEAST_LENGTH) & (self.lengths <= _MOST_LENGTH)
        free = self[np.flatnonzero(sure & small & ~np.any(self.led_to(hands), axis=1))]
        free = free[np.argsort(-free.scores, kind="stable")]
        boxes = free.boxes()
        doubled = np.triu(iou_matrix(boxes, boxes) > _SAME, 1).any(0)
        free, boxes = free[np.flatnonzero(~doubled)], boxes[~doubled]
        unknown = np.full((len(free), 21, 3), np.nan)
        return HandBoxes(boxes, free.is_right, free.scores, unknown, unknown.copy())


def arm_ends(bodies: Bodies, width: int, height: int) -> ArmEnds:
    """The ends of arms in a picture of `width` x `height` px that bodies show."""
    rows = []
    for points, spreads, visible, score in zip(
        bodies.points, bodies.spreads, bodies.visible, bodies.scores, strict=True
    ):
        scale = Body.of(_coco(points, visible)).scale
        if scale is None:
            continue
        trunk = float(visible[list(_TRUNK)].mean())  # what is taken for a body in a face or a hand has none
        for side, (elbow, wrist, little, index) in enumerate(zip(_ELBOWS, _WRISTS, _LITTLE, _INDEX, strict=True)):
            middle = (2 * points[index] + points[little]) / 3
            seen = float(min(visible[wrist], visible[index], visible[little]))
            inside = bool((middle >= 0).all() and (middle < (width, height)).all())
            if inside and seen > _LEAST_SEEN:
                forearm, length = points[wrist] - points[elbow], _HAND * scale
                spread = spreads[[wrist, index, little]].mean() / length
                sure = float(score) * seen * trunk / (1 + (spread / _HALF_SPREAD) ** 2)
                rows.append((points[wrist], middle, forearm, length, side == 1, sure))
    if not rows:
        none = np.zeros((0, 2))
        return ArmEnds(none, none, none, np.zeros(0), np.zeros(0, bool), np.zeros(0))
    return ArmEnds(*(np.array(column) for column in zip(*rows, strict=True)))


def _coco(points: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """One body's points (33, 2) as COCO-WholeBody's keypoints (133, 3), those of the body alone."""
    keypoints = np.zeros((N_KEYPOINTS, 3))
    keypoints[: len(_COCO), :2], keypoints[: len(_COCO), 2] = points[list(_COCO)], visible[list(_COCO)]
    return keypoints
