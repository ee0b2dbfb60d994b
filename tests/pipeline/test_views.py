"""Networks that see hands upright: a turned picture gives the turned hand, and what is not known is looked at twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hamer.crops.upright import hand_rotation
from hamer.geometry.directions import turns_about_view
from hamer.models.config import DenseConfig
from hamer.pipeline import HandReconstructor, NetworkEstimator
from hamer.pipeline.network_inputs import NetworkInputs
from hamer.pipeline.pictures import Picture
from hamer.pipeline.views import Views, picture_limits
from hamer.structures import Camera, Hand, HandBoxes

from .conftest import KnownHands, boxes_of, joints_of
from .test_built_in import tiny_config, tiny_network

SIDE = 400
CENTRED = Camera(600, 600, (SIDE - 1) / 2, (SIDE - 1) / 2)
LIMITS = np.full((2, 2), SIDE)
#: A smooth picture: turned by an angle, its pixels are what they were but for a grey level or two.
WAVES = np.stack([np.sin(np.arange(SIDE) / n)[:, None] * np.cos(np.arange(SIDE) / (n + 9)) for n in (20, 30, 45)], -1)
PICTURE = np.uint8(127 + 120 * WAVES)


@pytest.fixture
def hands(open_hand: Any) -> HandBoxes:
    joints = [joints_of(open_hand, is_right=s, position=(0.09 if s else -0.09, 0.02, 0.8)) for s in (False, True)]
    return boxes_of(joints, [False, True], CENTRED)


def upright_network(*, upright: bool = True, **changes: Any) -> Any:
    cfg = replace(tiny_config(), **changes).to_cfg()
    return tiny_network({**cfg, "MODEL": {**cfg["MODEL"], "RESCALE_FACTOR": 1.6, "UPRIGHT": upright}})


def turned(hands: HandBoxes, quarters: int) -> HandBoxes:
    """The hands in the picture that was turned so many quarters counterclockwise about its centre."""
    assert hands.keypoints_2d is not None
    assert hands.keypoints_3d is not None
    turn = turns_about_view(-90 * quarters)
    middle = np.array([CENTRED.cx, CENTRED.cy])
    points, guess = hands.keypoints_2d.copy(), hands.keypoints_3d @ turn.T
    points[..., :2] = (points[..., :2] - middle) @ turn[:2, :2].T + middle
    corners = (hands.boxes.reshape(-1, 2, 2) - middle) @ turn[:2, :2].T + middle
    boxes = np.concatenate([corners.min(1), corners.max(1)], -1)
    return HandBoxes(boxes, hands.is_right, hands.scores, points, guess)


def found(network: Any, picture: np.ndarray, hands: HandBoxes, *, refine: bool = False) -> list[Hand]:
    reconstructor = HandReconstructor(KnownHands(hands), NetworkEstimator(network, refine=refine))
    return reconstructor(picture, camera=CENTRED).hands


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("refine", [False, True])
def test_a_turned_picture_gives_the_turned_hand(hands: HandBoxes, quarters: int, refine: bool) -> None:
    """Both hands: joints and vertices turn about the camera's axis, keypoints about the picture's centre."""
    network = upright_network()
    before = found(network, PICTURE, hands, refine=refine)
    picture = np.ascontiguousarray(np.rot90(PICTURE, quarters))
    after = found(network, picture, turned(hands, quarters), refine=refine)
    turn = turns_about_view(-90 * quarters)
    for one, other in zip(before, after, strict=True):
        # A hundredth of a millimetre in 0.8 m: crops are the same but for the last bits of float32 positions; a fit ends
        # where its cost falls by no more than a few ten thousandths.
        atol = 5e-4 if refine else 1e-5
        np.testing.assert_allclose(other.joints, one.joints @ turn.T, atol=atol)
        np.testing.assert_allclose(other.vertices, one.vertices @ turn.T, atol=atol)
        middle = np.array([CENTRED.cx, CENTRED.cy])
        expected = (one.keypoints_2d - middle) @ turn[:2, :2].T + middle
        np.testing.assert_allclose(other.keypoints_2d, expected, atol=0.5 if refine else 0.02)


def test_other_networks_see_boxes_as_they_are(hands: HandBoxes) -> None:
    plain = Views.first(hands, LIMITS, NetworkInputs(takes_landmarks=True))
    np.testing.assert_array_equal(plain.boxes, hands.boxes)
    assert np.isnan(plain.rotation).all()
    assert NetworkEstimator(upright_network()).inputs.upright
    assert not NetworkEstimator(tiny_network()).inputs.upright


def test_joints_tell_the_view(hands: HandBoxes) -> None:
    inputs = NetworkInputs(128, (128, 128), 1.6, upright=True)
    assert hands.keypoints_2d is not None
    views = Views.first(hands, LIMITS, inputs)
    np.testing.assert_allclose(views.rotation, hand_rotation(hands.keypoints_2d[..., :2].astype(float)))
    crops = inputs.crops([PICTURE], np.zeros(2, int), views.boxes, hands.is_right, views.rotation)
    seen = crops.to_crop(hands.keypoints_2d[..., :2].astype(float))
    np.testing.assert_allclose(hand_rotation(seen), 0, atol=1e-3)  # float32 boxes
    np.testing.assert_allclose(np.ptp(seen, axis=1).max(-1), 128 / 1.6, rtol=1e-4)
    hands.keypoints_2d[0, :, 2] = 0.05  # the detector does not believe in these
    hands.keypoints_2d[1, 3] = np.nan  # one joint is unknown: the direction is known, the square's size is not
    views = Views.first(hands, LIMITS, inputs)
    assert np.isfinite(views.rotation).tolist() == [False, True]
    np.testing.assert_array_equal(views.boxes, hands.boxes)


def test_views_end_at_the_edges_of_their_own_pictures(hands: HandBoxes) -> None:
    """A wide and a high picture that cut the same hand differently: only what they show counts."""
    wide, high = (np.zeros(shape, np.uint8) for shape in ((220, SIDE, 3), (SIDE, 300, 3)))
    limits = picture_limits([wide, high], np.array([1, 0]))
    assert limits.tolist() == [[300, SIDE], [SIDE, 220]]
    assert hands.keypoints_2d is not None
    views = Views.first(hands, limits, NetworkInputs(128, (128, 128), 1.6, upright=True))
    for row in range(2):
        inside = np.clip(hands.keypoints_2d[row, :, :2], 0, limits[row] - 1)
        turn = turns_about_view(views.rotation[row])[:2, :2]
        middle = (views.boxes[row, :2] + views.boxes[row, 2:]) / 2
        seen = (inside - middle) @ turn
        np.testing.assert_allclose(seen.min(0) + seen.max(0), 0, atol=1e-3)
        np.testing.assert_allclose(np.ptp(seen, axis=0), views.boxes[row, 2:] - views.boxes[row, :2], atol=1e-3)


def test_hands_with_and_without_joints_in_several_pictures(hands: HandBoxes) -> None:
    """Each comes out as it does alone."""
    network = upright_network(dense=DenseConfig(8, 16, points=True))
    assert hands.keypoints_2d is not None
    hands.keypoints_2d[0] = np.nan
    small = np.ascontiguousarray(PICTURE[:300, :360])
    estimator = NetworkEstimator(network)
    cameras = [CENTRED, Camera(600, 600, 180, 150)]
    together = estimator([Picture(PICTURE), Picture(small)], cameras, [hands, hands])
    for picture, camera, found_together in zip((PICTURE, small), cameras, together, strict=True):
        (alone,) = estimator([Picture(picture)], [camera], [hands])
        for one, other in zip(alone, found_together, strict=True):
            np.testing.assert_allclose(one.joints, other.joints, atol=1e-6)
            one_by_one = estimator([Picture(picture)], [camera], [hands[[int(other.is_right)]]])[0][0]
            np.testing.assert_allclose(one_by_one.joints, other.joints, atol=1e-5)


def test_joints_that_are_no_hand_of_the_box_leave_it(hands: HandBoxes) -> None:
    inputs = NetworkInputs(128, (128, 128), 1.6, upright=True)
    views = Views(hands.boxes, np.full(2, np.nan))
    assert hands.keypoints_2d is not None
    points = hands.keypoints_2d[..., :2].astype(float)
    far = points + np.array([[[300.0, 0.0]], [[0.0, 0.0]]])
    closer = views.closer(far, LIMITS, inputs)
    np.testing.assert_array_equal(closer.boxes[0], hands.boxes[0])
    assert not np.array_equal(closer.boxes[1], hands.boxes[1])
    tiny = points.mean(1, keepdims=True) + 0.2 * (points - points.mean(1, keepdims=True))
    np.testing.assert_array_equal(views.closer(tiny, LIMITS, inputs).boxes, hands.boxes)


@pytest.mark.parametrize("upright", [True, False])
def test_a_hand_without_joints_is_looked_at_twice(hands: HandBoxes, upright: bool) -> None:
    """The second time upright, as the network's own points of the first look tell."""
    network = upright_network(upright=upright, dense=DenseConfig(8, 16, points=True))
    assert hands.keypoints_2d is not None
    alone = HandBoxes(hands.boxes, hands.is_right, hands.scores)
    inputs = NetworkEstimator(network).inputs
    crops = inputs.crops([PICTURE], np.zeros(2, int), alone.boxes, alone.is_right)
    points = torch.from_numpy(crops.to_crop(hands.keypoints_2d[..., :2].astype(float)) / 64 - 0.5).float()
    own = torch.cat([points, torch.full((2, 21, 1), 0.9), torch.zeros(2, 21, 1)], dim=-1)
    network.dense_head.register_forward_hook(lambda _m, _i, output: {**output, "pred_points": own})
    shown: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda _m, args: shown.append(args[0]["img"]))
    found(network, PICTURE, alone)
    assert len(shown) == (2 if upright else 1)
    if upright:
        views = Views(alone.boxes, np.full(2, np.nan)).closer(hands.keypoints_2d[..., :2].astype(float), LIMITS, inputs)
        expected = inputs.crops([PICTURE], np.zeros(2, int), views.boxes, alone.is_right, views.rotation).img
        np.testing.assert_allclose(shown[1].numpy(), expected, atol=0.03)  # of grey levels normalised: two of them
        assert np.abs(shown[0].numpy() - expected).max() > 0.5
