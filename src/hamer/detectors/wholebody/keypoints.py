"""The 133 keypoints of COCO-WholeBody (Jin et al. 2020): names, parts, and which are left and right of each other.

Left and right are the person's own. A hand's 21 points are in OpenPose's order, wrist first, as everywhere in this
package.
"""

from __future__ import annotations

N_KEYPOINTS = 133

BODY = slice(0, 17)
FEET = slice(17, 23)
FACE = slice(23, 91)
LEFT_HAND = slice(91, 112)
RIGHT_HAND = slice(112, 133)

# COCO's body (left before right), as far as a hand's arm and the body's size are concerned.
SHOULDERS, ELBOWS, WRISTS, HIPS = (5, 6), (7, 8), (9, 10), (11, 12)
EARS = (3, 4)

_SIDED_BODY = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_FEET = ("big_toe", "small_toe", "heel")
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")


def _names() -> tuple[str, ...]:
    body = ["nose", *(f"{side}_{part}" for part in _SIDED_BODY for side in ("left", "right"))]
    feet = [f"{side}_{part}" for side in ("left", "right") for part in _FEET]
    face = [f"face-{index}" for index in range(68)]
    hands = [
        f"{side}_{part}"
        for side in ("left", "right")
        for part in ("hand_root", *(f"{finger}{joint}" for finger in _FINGERS for joint in range(1, 5)))
    ]
    return (*body, *feet, *face, *hands)


NAMES = _names()
"""Names of the keypoints as COCO-WholeBody's tools give them."""


def _mirrored() -> tuple[int, ...]:
    order = list(range(N_KEYPOINTS))
    for index, name in enumerate(NAMES):
        if name.startswith(("left_", "right_")):
            side, part = name.split("_", 1)
            order[index] = NAMES.index(f"{'right' if side == 'left' else 'left'}_{part}")
    for index, other in enumerate(_mirrored_face()):
        order[FACE.start + index] = FACE.start + other
    return tuple(order)


def _mirrored_face() -> list[int]:
    """Each of the 68 face points' counterpart: jaw, brows, nose bridge, nostrils, eyes, outer and inner lips."""
    order = list(range(68))
    for first, last in ((0, 16), (17, 26), (31, 35), (48, 54), (60, 64)):  # left to right across the face
        order[first : last + 1] = range(last, first - 1, -1)
    order[55:60] = range(59, 54, -1)  # lower lip, right to left
    order[65:68] = range(67, 64, -1)
    for one, other in ((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)):  # eyes, each clockwise from outside
        order[one], order[other] = other, one
    return order


MIRRORED = _mirrored()
"""Index of each keypoint's counterpart on the other side of the body; itself for those in the middle."""
