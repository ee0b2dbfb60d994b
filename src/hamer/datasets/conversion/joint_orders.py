"""Orders and frames in which releases list 21 joints, and how to tell them when only numbers are there."""

from __future__ import annotations

import numpy as np

from hamer.hand_models.joints import MANO_TO_OPENPOSE, SKELETON

TIPS_FIRST = (0, *(4 * finger + joint for finger in range(5) for joint in (4, 3, 2, 1)))
"""RHD: wrist, then each finger from the tip to the base, thumb to little. Entry k: where our joint k lies in the release."""

HO3D = MANO_TO_OPENPOSE
"""HO-3D: MANO's 16 joints (wrist; index, middle, little, ring, thumb, three each from the base), then the tips, thumb to little."""

FROM_OPENGL = np.array([1.0, -1.0, -1.0])
"""OpenGL's camera frame (y up, z backward) to ours (y down, z forward), and back."""

_ORDERS = {"openpose": tuple(range(21)), "ho3d": HO3D, "tips first": TIPS_FIRST}


def order_of(joints: np.ndarray) -> str:
    """Which order (N, 21, 3) joints are in: "openpose", "ho3d" or "tips first", by the shortest skeleton.

    Joints in a wrong order make bones that cross the hand, so the right one has by far the least total length.
    """
    start, end = (list(side) for side in zip(*SKELETON, strict=True))

    def length(order: tuple[int, ...]) -> float:
        ordered = joints[:, list(order)]
        return float(np.linalg.norm(ordered[:, end] - ordered[:, start], axis=-1).sum())

    return min(_ORDERS, key=lambda name: length(_ORDERS[name]))


def frame_of(joints: np.ndarray) -> str:
    """ "opencv" (z forward) or "opengl" (z backward) for (N, 21, 3) joints before the camera, by the sign of z."""
    return "opencv" if np.median(joints[..., 2]) > 0 else "opengl"
