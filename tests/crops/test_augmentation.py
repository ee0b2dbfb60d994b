"""Random augmentation: its distributions, its signs, its reproducibility."""

from __future__ import annotations

import random
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hamer.crops.affine import patch_transform
from hamer.crops.augmentation import (
    HAND_PARTS,
    Augmentation,
    augment_keypoints_3d,
    extreme_crop,
    flip_keypoints_2d,
    rotate_axis_angle,
    scale_colors,
    transform_keypoints_2d,
)

CONFIG = SimpleNamespace(
    SCALE_FACTOR=0.3,
    ROT_FACTOR=30,
    TRANS_FACTOR=0.02,
    COLOR_SCALE=0.2,
    ROT_AUG_RATE=0.6,
    DO_FLIP=True,
    FLIP_AUG_RATE=0.5,
    EXTREME_CROP_AUG_RATE=0.1,
    EXTREME_CROP_AUG_LEVEL=1,
)


def test_draws_stay_in_their_ranges() -> None:
    rng = random.Random(0)
    draws = [Augmentation.sample(CONFIG, rng) for _ in range(2000)]
    scale = np.array([d.scale for d in draws])
    assert scale.min() >= 0.7
    assert scale.max() <= 1.3
    rotation = np.array([d.rotation for d in draws])
    assert np.abs(rotation).max() <= 60
    assert np.mean(rotation != 0) == pytest.approx(0.6, abs=0.05)  # 2000 draws: five standard deviations
    assert max(abs(d.shift_x) for d in draws) <= 0.02
    colors = np.array([d.color_scale for d in draws])
    assert colors.min() >= 0.8
    assert colors.max() <= 1.2
    assert np.mean([d.flip for d in draws]) == pytest.approx(0.5, abs=0.06)
    assert np.mean([d.extreme_crop for d in draws]) == pytest.approx(0.1, abs=0.04)
    assert {d.extreme_crop_level for d in draws} == {1}


def test_draws_repeat_with_the_seed() -> None:
    assert Augmentation.sample(CONFIG, random.Random(4)) == Augmentation.sample(CONFIG, random.Random(4))
    random.seed(4)
    assert Augmentation.sample(CONFIG) == Augmentation.sample(CONFIG, random.Random(4))


def test_nothing_is_drawn_where_the_rates_are_zero() -> None:
    still = SimpleNamespace(**dict.fromkeys(vars(CONFIG), 0))
    assert Augmentation.sample(still) == Augmentation()


def test_values_there_and_back() -> None:
    draw = Augmentation.sample(CONFIG, random.Random(1))
    assert Augmentation.from_values(draw.values()) == draw
    assert len(draw.values()) == 8


@pytest.mark.parametrize("flip", [False, True])
def test_points_and_pictures_move_alike(flip: bool) -> None:
    """A spot is where its keypoint goes."""
    picture = np.zeros((200, 300, 3), np.float32)
    picture[90, 140] = 255
    picture = cv2.GaussianBlur(picture, (0, 0), 3)  # smooth enough for its centroid to survive the sampling
    points = np.array([[140.0, 90.0, 1.0]], np.float32)
    source = np.ascontiguousarray(picture[:, ::-1]) if flip else picture
    matrix = patch_transform(150.0, 100.0, 120.0, 120.0, 128, 128, 1.1, 25.0)
    patch = cv2.warpAffine(source, matrix, (128, 128))[:, :, 0]
    moved = flip_keypoints_2d(points, 300, [0]) if flip else points
    x, y, confidence = transform_keypoints_2d(moved, matrix)[0]
    rows, columns = np.nonzero(patch)
    weights = patch[rows, columns]
    # warp positions are rounded to 1/32 px
    np.testing.assert_allclose(
        [np.average(columns, weights=weights), np.average(rows, weights=weights)], [x, y], atol=0.05
    )
    assert confidence == 1


def test_turning_is_the_same_for_points_and_poses() -> None:
    orient, point = np.array([0.3, -0.5, 0.9]), np.array([[0.1, 0.2, 0.3, 1.0]])
    turned = cv2.Rodrigues(rotate_axis_angle(orient, 40.0).astype(float))[0] @ point[0, :3]
    posed = np.concatenate([cv2.Rodrigues(orient)[0] @ point[0, :3], [1.0]])[None]
    np.testing.assert_allclose(augment_keypoints_3d(posed, False, 40.0, [0])[0, :3], turned, atol=1e-6)


def test_angles_beyond_pi_are_rewritten() -> None:
    # 2 pi - 4 about the opposite axis; cv2's matrix logarithm in float64, result in float32
    np.testing.assert_allclose(rotate_axis_angle(np.array([4.0, 0, 0]), 0), [4 - 2 * np.pi, 0, 0], atol=1e-6)


def test_mirroring_twice_is_nothing() -> None:
    points = np.random.default_rng(0).uniform(0, 300, (21, 3))
    np.testing.assert_allclose(flip_keypoints_2d(flip_keypoints_2d(points, 300, range(21)), 300, range(21)), points)


def test_colors_are_scaled_and_clipped() -> None:
    patch = np.full((4, 2, 2), 100.0, np.float32)
    scaled = scale_colors(patch, (1.2, 0.5, 3.0))
    np.testing.assert_allclose(scaled[:, 0, 0], [120, 50, 255, 100])
    np.testing.assert_array_equal(patch, 100)


@pytest.mark.parametrize("level", [0, 1])
def test_extreme_crops_hold_a_part_of_the_hand(level: int) -> None:
    points = np.concatenate([np.random.default_rng(2).uniform(50, 150, (21, 2)), np.ones((21, 1))], axis=1)
    seen = set()
    for seed in range(60):
        x, y, width, height = extreme_crop(100, 100, 200, 200, points, level, random.Random(seed))
        assert width == height
        inside = (np.abs(points[:, :2] - [x, y]) <= width / 2).all(axis=1)
        parts = [name for name, joints in HAND_PARTS.items() if inside[list(joints)].all()]
        assert parts
        seen.add((x, y))
    assert len(seen) == (4 if level == 0 else len(HAND_PARTS))


def test_extreme_crop_without_known_joints_changes_nothing() -> None:
    assert extreme_crop(10, 20, 30, 40, np.zeros((21, 3))) == (10, 20, 30, 40)
