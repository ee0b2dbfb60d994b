"""A detector's keypoints and the points that the network read off its own maps, taken together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hamer.pipeline.flat_hands import APART, OWN_BESIDE, OWN_TRUST, FlatHands
from hamer.structures import Camera, HandBoxes

CAMERA = Camera(500, 500, 320, 240)
RNG = np.random.default_rng(0)


def flat_of(points: np.ndarray | None) -> FlatHands:
    """One right hand of 100 px with keypoints (1, 21, 3)."""
    return FlatHands.of([CAMERA], [HandBoxes(np.array([[100.0, 100, 200, 200]]), [True], [1.0], points)])


def keypoints(confidence: float = 0.9) -> np.ndarray:
    points = np.full((1, 21, 3), confidence)
    points[0, :, :2] = np.stack([np.linspace(100, 200, 21), RNG.uniform(120, 180, 21)], -1)
    return points


def own_of(points: np.ndarray, shift: float, sureness: float = 0.5) -> torch.Tensor:
    own = torch.from_numpy(points.copy()).float()
    own[..., 1] += shift
    own[..., 2] = sureness
    return own


@pytest.mark.parametrize("shift", [0.0, 3.0, 15.0, 60.0])
def test_it_is_the_mean_by_confidence_and_far_points_are_believed_less(shift: float) -> None:
    points = keypoints()
    joined = flat_of(points).joined(own_of(points, shift)).keypoints_2d[0].numpy()
    weight = 0.9 / (1 + (shift / 100 / APART) ** 4)
    beside = OWN_BESIDE * 0.5
    np.testing.assert_allclose(joined[:, 0], points[0, :, 0], rtol=1e-6)
    np.testing.assert_allclose(joined[:, 1] - points[0, :, 1], shift * beside / (weight + beside), atol=1e-3)
    np.testing.assert_allclose(joined[:, 2], weight + beside, rtol=1e-4)


def test_far_apart_the_networks_point_remains_with_little_weight() -> None:
    points = keypoints()
    own = own_of(points, 0.0)
    own[0, 8, 1] += 90.0  # one joint nearly a hand's size away
    joined = flat_of(points).joined(own).keypoints_2d[0]
    assert (joined[8, :2] - own[0, 8, :2]).norm() < 12
    assert joined[8, 2] < 0.1
    assert (joined[7, 2] > 0.9) & (joined[7, 2] <= 1)


def test_certainty_does_not_exceed_one() -> None:
    points = keypoints(1.0)
    assert flat_of(points).joined(own_of(points, 0.0, 1.0)).keypoints_2d[..., 2].max() == 1


def test_what_either_does_not_know() -> None:
    points = keypoints()
    points[0, 3] = np.nan  # the detector lacks a joint: it stays unknown
    points[0, 4, 2] = 0  # or does not believe in it
    own = own_of(keypoints(), 2.0)
    own[0, 5] = torch.nan  # the network's numbers are not finite: the keypoint stays as it was
    joined = flat_of(points).joined(own).keypoints_2d[0]
    assert joined[3].isnan().all()
    assert joined[4, 2] == 0
    torch.testing.assert_close(joined[5], torch.from_numpy(points[0, 5]).float())
    assert torch.isfinite(joined[[0, 1, 2, 6]]).all()


@pytest.mark.parametrize("points", [None, np.full((1, 21, 3), np.nan)])
def test_hands_without_keypoints_have_the_networks_points_alone(points: np.ndarray | None) -> None:
    own = own_of(keypoints(), 0.0)
    joined = flat_of(points).joined(own).keypoints_2d
    torch.testing.assert_close(joined[..., :2], own[..., :2])
    torch.testing.assert_close(joined[..., 2], OWN_TRUST * own[..., 2])


def test_the_hands_are_not_changed() -> None:
    """What results say of the detector's confidence is read from these."""
    points = keypoints()
    flat = flat_of(points)
    flat.joined(own_of(points, 30.0))
    np.testing.assert_allclose(flat.keypoints_2d.numpy(), points, rtol=1e-6)
    np.testing.assert_allclose(flat.hands.keypoints_2d, points)
