"""The landmark model's points and MANO's joints: what the map between them keeps, and that it is the right one."""

from __future__ import annotations

import numpy as np
import pytest

from hamer.detectors.joints_of_landmarks import MATRIX, joints_of_landmarks


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 200, (5, 21, 2))


def test_it_moves_with_the_hand(points: np.ndarray) -> None:
    """Turned, scaled, mirrored and moved points give joints turned, scaled, mirrored and moved likewise."""
    change = np.array([[0.3, -1.7], [-1.7, -0.3]])  # a mirror too
    there = joints_of_landmarks(points @ change.T + [40.0, -7.0])
    np.testing.assert_allclose(there, joints_of_landmarks(points) @ change.T + [40.0, -7.0], atol=1e-9)


def test_all_points_in_one_place_stay_there() -> None:
    np.testing.assert_allclose(joints_of_landmarks(np.full((21, 2), 3.5)), 3.5)


def test_it_can_be_undone(points: np.ndarray) -> None:
    """`tools/measure_landmarks.py` gets the model's own points back from joints."""
    np.testing.assert_allclose(np.linalg.solve(MATRIX, joints_of_landmarks(points)), points, atol=1e-9)


def test_fingers_and_wrist_end_later() -> None:
    """An open hand, fingers up: the tips of the fingers lie beyond the model's points, the wrist below."""
    hand = np.zeros((21, 2))
    for finger in range(5):
        for segment in range(1, 5):
            hand[4 * finger + segment] = [20 * finger - 40, -90 - 25 * segment]
    joints = joints_of_landmarks(hand)
    assert (joints[8::4, 1] < hand[8::4, 1] - 5).all()
    assert joints[0, 1] > hand[0, 1] + 5


@pytest.mark.usefixtures("landmark_models")
def test_joints_of_made_pictures_are_met() -> None:
    """Where joints are known, fingers and wrist end about half as early as by the model's own points."""
    from hamer.datasets.synthetic.shards import Recipe

    maker = Recipe(seed=77).maker()
    ends, befores = [8, 12, 16, 20, 0], [7, 11, 15, 19, 9]
    short_of, left = [], []  # of the hand's size: how far the truth lies beyond the point, without the map and with it
    for sample in (maker.make(i) for i in range(60)):
        found, truth = sample.annotation.get("landmarks_2d"), sample.truth.keypoints_2d
        if found is None:
            continue
        joints, size = found[:, :2].astype(np.float64), np.ptp(truth, axis=0).max()
        outward = truth[ends] - truth[befores]
        outward /= np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-6) * size
        if np.linalg.norm(joints - truth, axis=-1).mean() < 0.1 * size:
            own = np.linalg.solve(MATRIX, joints)
            short_of.append(((truth - own)[ends] * outward).sum(-1))
            left.append(((truth - joints)[ends] * outward).sum(-1))
    assert len(left) > 25
    assert np.mean(short_of) > 0.025
    assert np.mean(left) < 0.6 * np.mean(short_of)
