"""What a person's body tells of a hand: how large hands are there, where the wrists are, whether an arm leads to it.

Keypoints are COCO-WholeBody's (Jin et al. 2020), (133, 3) x, y px and confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.detectors.wholebody.keypoints import EARS, ELBOWS, HIPS, SHOULDERS, WRISTS

_SEEN = 0.4
"""Confidence from which a keypoint of the body is evidence."""

# Lengths of an adult in metres, on the large side: foreshortening only makes them look shorter.
_SHOULDERS, _TORSO, _EARS, _UPPER_ARM, _FOREARM = 0.36, 0.50, 0.15, 0.29, 0.25
_REACHING_UP = 2.3  # the most of a person that a box is high

# A hand is at the end of its arm if its wrist is this near to the body's, and is not if it is this far: in extents of
# the hand, and at least in metres. The two are one point to whoever annotates them.
_AT, _NOT_AT = (0.5, 0.08), (1.2, 0.25)
# Without a wrist: a hand so far from the elbow, in metres, hangs on another arm. Arms held towards the camera look up
# to this much longer than they are.
_OUT_OF_REACH, _IN_REACH = 0.45, 0.30
_LOOKS_LONGER = 1.6


@dataclass(frozen=True)
class SeenHand:
    """One hand of one person: `points` (21, 3), which of them count in `seen` (21,), `score` their mean confidence.

    `centre` (2,) is the mean of the points that count, `extent` the longest distance between two of them, at least 1
    px; `side` 0 left, 1 right.
    """

    person: int
    side: int
    points: np.ndarray
    seen: np.ndarray
    centre: np.ndarray
    extent: float
    score: float

    @classmethod
    def of(cls, person: int, is_right: bool, points: np.ndarray, score: float, min_confidence: float) -> SeenHand:
        """The hand whose keypoints above `min_confidence` count; at least one does."""
        seen = points[:, 2] > min_confidence
        counted = points[seen, :2]
        return cls(person, int(is_right), points, seen, counted.mean(0), max(longest(counted), 1.0), float(score))

    @property
    def name(self) -> str:
        """For notes: persons are counted from 1."""
        return f"{('left', 'right')[self.side]} hand of person {self.person + 1}"

    def distance_to(self, place: np.ndarray) -> float:
        """From its wrist, or where that is not seen from its nearest joint, to `place` (2,), px."""
        from_joints = np.linalg.norm(self.points[:, :2] - place, axis=-1)
        return float(from_joints[0] if self.seen[0] else from_joints[self.seen].min())


@dataclass(frozen=True)
class Body:
    """Wrists, elbows and shoulders (2, 3) of one person, left and right, and how many px a metre is there.

    `scale` is what the longest parts say, `trunk` what shoulders, torso and head say without the arms; None where too
    little is seen.
    """

    wrists: np.ndarray
    elbows: np.ndarray
    shoulders: np.ndarray
    scale: float | None
    trunk: float | None

    @classmethod
    def of(cls, keypoints: np.ndarray, box: np.ndarray | None = None) -> Body:
        """Of one person's keypoints (133, 3), and the box (4,) xyxy px that it was found in."""
        wrists, elbows, shoulders = (keypoints[list(pair)] for pair in (WRISTS, ELBOWS, SHOULDERS))
        return cls(wrists, elbows, shoulders, *_scales(keypoints, box))

    def sees_wrist(self, side: int) -> bool:
        """Whether the body's wrist of `side` is evidence."""
        return bool(self.wrists[side, 2] > _SEEN)

    def support(self, hand: SeenHand, side: int | None = None) -> int:
        """Whether the arm of `side` (the hand's own by default) leads to `hand`: 1 it does, -1 it does not, 0 not known."""
        side = hand.side if side is None else side
        metre = self.scale or 0.0
        if self.sees_wrist(side):
            distance = hand.distance_to(self.wrists[side, :2])
            return _verdict(distance, *(max(part * hand.extent, least * metre) for part, least in (_AT, _NOT_AT)))
        if self.elbows[side, 2] > _SEEN and metre:
            distance = hand.distance_to(self.elbows[side, :2])
            return _verdict(distance, _IN_REACH * metre, _OUT_OF_REACH * metre)
        return 0

    def whole_arm(self, hand: SeenHand) -> bool:
        """Whether elbow and wrist of the hand's side are seen and lead to it, at lengths that an arm can have."""
        wrist, elbow, shoulder = (part[hand.side] for part in (self.wrists, self.elbows, self.shoulders))
        if min(wrist[2], elbow[2]) <= _SEEN or self.support(hand) != 1:
            return False
        if self.trunk is None:
            return True
        forearm = np.linalg.norm(wrist[:2] - elbow[:2]) / _FOREARM
        upper = np.linalg.norm(elbow[:2] - shoulder[:2]) / _UPPER_ARM if shoulder[2] > _SEEN else 0.0
        return bool(max(forearm, upper) < _LOOKS_LONGER * self.trunk)


def longest(points: np.ndarray) -> float:
    """The longest distance between two of `points` (N, 2); 0 for none."""
    if len(points) == 0:
        return 0.0
    return float(np.linalg.norm(points[:, None] - points[None], axis=-1).max())


def _verdict(distance: float, near: float, far: float) -> int:
    return 1 if distance < near else -1 if distance > far else 0


def _scales(keypoints: np.ndarray, box: np.ndarray | None) -> tuple[float | None, float | None]:
    """`Body.scale` and `Body.trunk`.

    Every length gives a lower bound, so the largest counts; of the arms, which a network may draw to another person's
    hand, the longest part is not believed. One length alone says little: it may point at the camera.
    """
    trunk = [_metre(keypoints, *SHOULDERS, _SHOULDERS), _metre(keypoints, *EARS, _EARS)]
    trunk += [_metre(keypoints, SHOULDERS[side], HIPS[side], _TORSO) for side in (0, 1)]
    arms = [_metre(keypoints, SHOULDERS[side], ELBOWS[side], _UPPER_ARM) for side in (0, 1)]
    arms += [_metre(keypoints, ELBOWS[side], WRISTS[side], _FOREARM) for side in (0, 1)]
    if np.count_nonzero(trunk + arms) < 2:
        return None, None
    by_box = 0.0 if box is None else float(box[3] - box[1]) / _REACHING_UP
    longest_parts = max(*trunk, sorted(arms)[-2], by_box)
    return longest_parts or None, max(trunk) or None


def _metre(keypoints: np.ndarray, one: int, other: int, length: float) -> float:
    """Pixels a metre if the two keypoints are `length` metres apart; 0 where one is not seen."""
    if min(keypoints[one, 2], keypoints[other, 2]) <= _SEEN:
        return 0.0
    return float(np.linalg.norm(keypoints[one, :2] - keypoints[other, :2])) / length
