"""Skeletons over pictures."""

from __future__ import annotations

import numpy as np
import pytest

from hamer.rendering import draw_keypoints
from hamer.rendering.keypoints import JOINT_COLORS


def fan() -> np.ndarray:
    """A hand-like spread of 21 joints."""
    points = [(130.5, 160.5)]
    for finger in range(5):
        angle = np.radians(-150 + 30 * finger)
        points += [(130.5 + r * np.cos(angle), 160.5 + r * np.sin(angle)) for r in (50, 80, 105, 130)]
    return np.array(points)


def test_joints_get_their_colours_at_their_places() -> None:
    image = np.zeros((220, 270, 3), np.uint8)
    drawn = draw_keypoints(image, fan())
    assert not image.any()
    for joint, (x, y) in enumerate(fan()):
        np.testing.assert_array_equal(drawn[int(y), int(x)], JOINT_COLORS[joint])


def test_unsure_and_missing_joints_are_left_out() -> None:
    points = np.concatenate([fan(), np.ones((21, 1))], axis=1)
    points[8, 2] = 0.05
    points[12] = np.nan
    points[16, 0] = 1e30
    drawn = draw_keypoints(np.zeros((220, 270, 3), np.uint8), points)
    for joint in (8, 12):
        x, y = fan()[joint].astype(int)
        assert not drawn[y, x].any()
    assert drawn.any()


def test_several_hands_and_none() -> None:
    image = np.zeros((220, 540, 3), np.uint8)
    two = draw_keypoints(image, np.stack([fan(), np.add(fan(), (270, 0))]))
    np.testing.assert_array_equal(two[:, :270], two[:, 270:])
    assert not draw_keypoints(image, np.zeros((0, 21, 2))).any()
    assert not draw_keypoints(image, np.full((21, 2), np.nan)).any()


def test_lines_grow_with_the_hand() -> None:
    image = np.zeros((2200, 2700, 3), np.uint8)
    small, large = draw_keypoints(image, fan()), draw_keypoints(image, 10 * fan())
    assert (large.any(axis=2)).sum() > 15 * (small.any(axis=2)).sum()


def test_bad_shapes() -> None:
    with pytest.raises(ValueError, match="keypoints must have shape"):
        draw_keypoints(np.zeros((9, 9, 3), np.uint8), np.zeros((20, 2)))
    with pytest.raises(ValueError, match="RGB uint8"):
        draw_keypoints(np.zeros((9, 9)), fan())
