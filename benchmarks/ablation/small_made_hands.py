"""The picture alone on made hands that are small: in boxes that fit, and in boxes as arms tell them.

A hand that only its arm shows has no landmarks, few pixels, and a box that is off. Made pictures brought down to such sizes,
with a camera's noise and JPEG's blocks, tell what the network makes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ablation.made_hands import CHUNK, MadeHand
from ablation.shrunk_hands import shrunk
from ablation.ways import Way
from hamer.geometry.boxes import boxes_from_keypoints
from hamer.geometry.cameras import default_camera
from hamer.pipeline.pictures import Picture
from hamer.structures import HandBoxes

SIZES = (None, 64, 40, 28, 20, 14)
"""Longer side of the box around the joints, px; None: as the picture is."""
KINDS = (("that fit", False, False), ("as arms tell them", True, False), ("the same, known to be an arm's", True, True))
_FITTING = 0.06  # of the hand's size: by so much each side of a box that fits is off, at most
_ARM_SHIFT, _ARM_SIZES = 0.14, (0.62, 1.06)  # standard deviation of an arm's box's place, range of its size
_WITHIN = 0.1


def table(hands: Sequence[MadeHand], way: Way, seed: int = 0) -> Iterator[str]:
    """Lines of markdown: share of joints within 0.1 of the hand, by its size and kind of box."""
    way = replace(way, takes_landmarks=True)  # there are none, but a hand by its arm alone is known by their absence
    yield f"{len(hands)} made hands brought down to a size, no landmarks, PCK@{_WITHIN} of '{way.title}':"
    yield ""
    yield "| boxes | " + " | ".join("as it is" if s is None else f"{s} px" for s in SIZES) + " |"
    yield "|---" * (len(SIZES) + 1) + "|"
    for title, by_arm, is_told in KINDS:
        shares = []
        for size in SIZES:
            rng = np.random.default_rng(seed)
            small = [_small(hand, size, rng, by_arm=by_arm, is_told=is_told) for hand in hands]
            shares.append(_pck(small, way))
        yield f"| {title} | " + " | ".join(f"{share:.3f}" for share in shares) + " |"


def _small(hand: MadeHand, size: int | None, rng: np.random.Generator, *, by_arm: bool, is_told: bool) -> MadeHand:
    rgb, points = hand.picture.rgb, hand.keypoints_2d
    if size is not None:
        rgb, points = shrunk(rgb, points, min(size / np.ptp(points, axis=0).max(), 1.0), rng)
    (box,) = boxes_from_keypoints(points[None])
    side = np.ptp(points, axis=0).max()
    if by_arm:
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, _ARM_SHIFT, 2) * side
        half = rng.uniform(*_ARM_SIZES) * side / 2
        box = np.concatenate([centre - half, centre + half])
    else:
        box = box + rng.uniform(-_FITTING, _FITTING, 4) * side
    # NaN is how the detector gives a hand that only its arm shows: such a box is not trusted (`hamer.pipeline.views`).
    unknown = np.full((1, 21, 3), np.nan) if is_told else None
    found = HandBoxes(box[None], [hand.is_right], [1.0], unknown, unknown)
    return replace(hand, picture=Picture(rgb), found=found, keypoints_2d=points)


def _pck(hands: Sequence[MadeHand], way: Way) -> float:
    right = 0
    for start in range(0, len(hands), CHUNK):
        chunk = hands[start : start + CHUNK]
        pictures = [hand.picture for hand in chunk]
        answers, _ = way(pictures, [default_camera(p.width, p.height) for p in pictures], [h.found for h in chunk])
        for hand, given in zip(chunk, answers, strict=True):
            if given:
                far = np.linalg.norm(given[0].keypoints_2d - hand.keypoints_2d, axis=-1)
                right += int((far < _WITHIN * np.ptp(hand.keypoints_2d, axis=0).max()).sum())
    return right / (21 * len(hands))
