"""The truth of made pictures: projections, mirrors, parts, and which joints are seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hamer.datasets.checking.posing import check_pose
from hamer.datasets.checking.sample_checks import check_hand
from hamer.datasets.synthetic.hands.posed_hand import part_labels
from hamer.datasets.synthetic.truth import (
    FINGER_DEPTH,
    HandTruth,
    annotation,
    visible_joints,
)
from hamer.datasets.synthetic.vectors import projected
from hamer.hand_models.layer import HandModel

SIZE = 200
MATRIX = np.array([[300.0, 0, 99.5], [0, 300.0, 99.5], [0, 0, 1]])


@pytest.fixture(scope="module")
def truth(hand_model: HandModel) -> HandTruth:
    rng = np.random.default_rng(3)
    pose = np.r_[rng.normal(size=3), rng.normal(size=45) * 0.2].astype(np.float32)
    betas, translation = rng.normal(size=10).astype(np.float32), np.array([-0.1, -0.05, 0.5], np.float32)
    out = hand_model.forward_axis_angle(*(torch.as_tensor(a) for a in (pose[:3], pose[3:], betas, translation)))
    return HandTruth(True, pose, betas, translation, out.joints.numpy(), out.vertices.numpy(), MATRIX, family="relaxed")


def plane(depth: float, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth and labels of a wall that fills the picture."""
    return np.full((SIZE, SIZE), depth, np.float32), np.full((SIZE, SIZE), label, np.uint8)


def joint_at(index: int, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Joints (21, 3) of which all but `index` lie outside the picture, and their pixels."""
    joints = np.tile([-5.0, 0.0, 1.0], (21, 1))
    joints[index] = [0.0, 0.0, z]
    return joints, projected(joints, MATRIX)


def test_projection_is_that_of_the_formula() -> None:
    pixel = projected(np.array([[0.1, -0.2, 0.5]]), MATRIX)[0]
    assert pixel == pytest.approx([300 * 0.2 + 99.5, -300 * 0.4 + 99.5])


def test_mirrored_truth_projects_to_mirrored_pixels(truth: HandTruth) -> None:
    mirrored = truth.mirrored(SIZE)
    expected = truth.keypoints_2d * [-1, 1] + [SIZE - 1, 0]
    np.testing.assert_allclose(mirrored.keypoints_2d, expected, atol=1e-9)
    assert not mirrored.is_right
    twice = mirrored.mirrored(SIZE)
    for name in ("pose", "joints", "vertices", "translation", "camera_matrix"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(truth, name))


@pytest.mark.parametrize("is_right", [True, False])
def test_annotation_passes_the_checks_of_training_data(truth: HandTruth, hand_model: HandModel, is_right: bool) -> None:
    shown = truth if is_right else truth.mirrored(SIZE)
    sample = annotation(shown, np.ones(21, bool), SIZE, SIZE, 2.0)
    assert check_hand(sample, SIZE, SIZE) == []
    assert list(check_pose(sample, SIZE, SIZE, hand_model)) == []
    assert bool(sample["right"]) is is_right
    assert sample["keypoints_2d"].dtype == np.float32
    assert (sample["keypoints_2d"][:, 2] == 1).all()


def test_box_is_tight_around_the_joints_but_stays_in_the_picture(truth: HandTruth) -> None:
    points = truth.keypoints_2d
    assert (points > 0).all()
    assert (points < SIZE - 1).all()
    sample = annotation(truth, np.ones(21, bool), SIZE, SIZE, 2.0)
    np.testing.assert_allclose(sample["center"], (points.min(0) + points.max(0)) / 2, atol=1e-4)
    np.testing.assert_allclose(sample["scale"] * 200, 2 * np.ptp(points, axis=0), rtol=1e-5)
    cut = points[:, 0].mean()  # the picture ends in the middle of the hand
    clipped = annotation(truth, np.ones(21, bool), int(cut), SIZE, 1.0)
    right_edge = clipped["center"][0] + clipped["scale"][0] * 100
    assert right_edge == pytest.approx(int(cut) - 1, abs=1e-3)


def test_parts_follow_the_skinning_weights(hand_model: HandModel) -> None:
    arrays = hand_model.arrays
    labels = part_labels(arrays, arrays.faces)
    assert set(labels) == set(range(1, 17))
    for finger, tip in enumerate(arrays.fingertips):
        last = (15, 3, 6, 12, 9)[finger]  # MANO's third joint of thumb, index, middle, ring, little
        at_tip = labels[(arrays.faces == tip).any(1)]
        assert (at_tip == 1 + last).all()


@pytest.mark.parametrize(
    ("label", "in_front", "seen"),
    [
        (1 + 2, 0.005, True),  # the index finger's second bone, at its second joint
        (1 + 1, 0.005, True),  # the bone before it
        (1 + 5, 0.005, False),  # the middle finger
        (18, 0.005, False),  # another hand
        (0, 0.005, False),  # something held in front
        (1 + 2, FINGER_DEPTH + 0.005, False),  # the same finger, but far in front
        (1 + 2, -0.03, False),  # a surface behind the joint is not its own
    ],
)
def test_a_joint_is_seen_through_its_own_finger_only(label: int, in_front: float, seen: bool) -> None:
    joints, pixels = joint_at(6, 0.5)
    depth, parts = plane(0.5 - in_front, label)
    visible = visible_joints(joints, pixels, depth, parts)
    assert visible[6] == seen
    assert not np.delete(visible, 6).any(), "joints outside the picture are not seen"


def test_the_wrist_is_seen_through_the_forearm_too() -> None:
    joints, pixels = joint_at(0, 0.5)
    depth, parts = plane(0.47, 17)
    assert visible_joints(joints, pixels, depth, parts)[0]
    joints, pixels = joint_at(5, 0.5)
    assert not visible_joints(joints, pixels, depth, parts)[5]


def test_a_fingertip_on_the_outline_is_seen_beside_its_pixel() -> None:
    joints, pixels = joint_at(8, 0.5)
    depth, parts = plane(0.0, 0)
    x, y = np.round(pixels[8]).astype(int)
    depth[y, x + 2], parts[y, x + 2] = 0.497, 1 + 3
    assert visible_joints(joints, pixels, depth, parts)[8]
    depth[y, x + 2], depth[y, x + 3], parts[y, x + 3] = 0, 0.497, 1 + 3
    assert not visible_joints(joints, pixels, depth, parts)[8]
