"""Views keep the hand's size and place in the picture, with cameras whose projection agrees with what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.datasets.synthetic.hands.poses import HandDraws, draw_hands
from hamer.datasets.synthetic.hands.skinning import skinner_of
from hamer.datasets.synthetic.hands.views import (
    CUT_SHARE,
    FOCAL,
    HABITS,
    NEAREST,
    SHARE,
    UNIFORM_SHARE,
    Views,
    draw_views,
    facing,
)
from hamer.hand_models import HandModel

WIDTH, HEIGHT, COUNT = 320, 240, 300


@pytest.fixture(scope="module")
def model() -> HandModel:
    return HandModel(load_open_hand())


def generators(seed: int, count: int = COUNT) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, i]) for i in range(count)]


@pytest.fixture(scope="module")
def hands(model: HandModel) -> HandDraws:
    return draw_hands(COUNT, generators(7), model)


@pytest.fixture(scope="module")
def views(hands: HandDraws, model: HandModel) -> Views:
    return draw_views(hands.hand_pose, hands.betas, generators(8), model, WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def upright(hands: HandDraws, model: HandModel) -> Views:
    """Views in upright pictures, as phones take them."""
    return draw_views(hands.hand_pose[:60], hands.betas[:60], generators(8, 60), model, 180, 320)


def pixels(points: np.ndarray, views: Views) -> np.ndarray:
    """(N, P, 2) projections of (N, P, 3)."""
    image = points.astype(float) @ views.camera_matrix.astype(float).swapaxes(1, 2)
    return image[..., :2] / image[..., 2:]


def test_the_box_takes_its_share_of_the_picture(views: Views) -> None:
    box = np.ptp(pixels(views.vertices, views), axis=1).max(1) / min(WIDTH, HEIGHT)
    slack = 0.002  # placement stops at a thousandth of the box
    assert box.min() > SHARE[0] - slack
    assert box.max() < SHARE[1] + slack
    assert np.histogram(box, 3, SHARE)[0].min() > 0.2 * COUNT, "all sizes alike"


def test_only_pictures_meant_to_cut_the_hand_do(views: Views) -> None:
    points = pixels(views.vertices, views)
    outside = np.any((points < 0) | (points > (WIDTH, HEIGHT)), axis=-1)
    assert np.array_equal(outside.any(1), views.cut)
    assert 0.4 * CUT_SHARE < views.cut.mean() < 2 * CUT_SHARE
    assert outside[views.cut].mean(1).max() < 0.7, "enough of the hand stays in sight"


def test_upright_pictures_show_hands_as_large_and_as_whole(upright: Views) -> None:
    points = pixels(upright.vertices, upright)
    box = np.ptp(points, axis=1).max(1) / 180
    assert SHARE[0] - 0.002 < box.min() < box.max() < SHARE[1] + 0.002  # placement stops at a thousandth of the box
    outside = np.any((points < 0) | (points > (180, 320)), axis=-1)
    assert np.array_equal(outside.any(1), upright.cut)
    # A lens's field of view belongs to the longer side: 54 degrees off its axis, a hand is smeared as in no photo.
    assert upright.camera_matrix[:, 0, 0].min() >= 320 * FOCAL[0] - 1e-4


def test_parameters_say_where_skin_and_joints_are(views: Views, hands: HandDraws, model: HandModel) -> None:
    parameters = (views.global_orient, hands.hand_pose, hands.betas, views.translation)
    with torch.no_grad():
        out = model(*(torch.from_numpy(p) for p in parameters))
    # float32 sums in another order, at up to 2 m from the camera: 1e-6 m is eight units in the last place
    np.testing.assert_allclose(out.vertices.numpy(), views.vertices, atol=1e-6)
    np.testing.assert_allclose(out.joints.numpy(), views.joints, atol=1e-6)


def test_cameras_are_real_ones(views: Views) -> None:
    focal = views.camera_matrix[:, 0, 0] / WIDTH
    assert focal.min() >= FOCAL[0] - 1e-6
    assert focal.max() <= FOCAL[1] + 1e-6
    assert np.array_equal(views.camera_matrix[:, 0, 0], views.camera_matrix[:, 1, 1])
    assert (views.camera_matrix[:, :2, 2] == (WIDTH / 2, HEIGHT / 2)).all()
    assert views.vertices[..., 2].min() >= NEAREST - 1e-6
    distance = views.joints[:, 9, 2]
    assert np.quantile(distance, 0.1) < 0.45 < 0.8 < np.quantile(distance, 0.9), "near and far"


def test_hands_are_seen_from_everywhere(views: Views) -> None:
    assert set(views.habit) == {"anywhere", *HABITS}
    share = np.mean([habit == "anywhere" for habit in views.habit])
    assert abs(share - UNIFORM_SHARE) < 0.1  # three sigma of 300 draws
    np.testing.assert_allclose(np.linalg.det(views.global_orient), 1, atol=1e-5)  # float32
    for column in range(3):  # palm, fingers and thumb toward every side
        axis = views.global_orient[[h == "anywhere" for h in views.habit]][:, :, column]
        octants = np.unique((axis > 0) @ (1, 2, 4), return_counts=True)[1]
        assert len(octants) == 8
        assert octants.min() > 0.05 * len(axis)


def test_facing_points_fingers_and_palm() -> None:
    turn = facing(np.array([0, -2.0, 0]), np.array([0, 0.5, -1.0]))
    np.testing.assert_allclose(turn @ (-1, 0, 0), (0, -1, 0), atol=1e-12)  # rounding of float64
    np.testing.assert_allclose(turn @ (0, -1, 0), (0, 0, -1), atol=1e-12)
    np.testing.assert_allclose(
        turn @ (0, 0, 1), (1, 0, 0), atol=1e-12, err_msg="a right hand's palm: thumb at the right"
    )
    assert np.isclose(np.linalg.det(turn), 1)


def test_a_view_depends_on_its_own_generator_alone(views: Views, hands: HandDraws, model: HandModel) -> None:
    order = [40, 2, 111]
    rngs = [np.random.default_rng([8, i]) for i in order]
    again = draw_views(hands.hand_pose[order], hands.betas[order], rngs, model, WIDTH, HEIGHT)
    for name in ("global_orient", "translation", "camera_matrix", "vertices", "joints"):
        assert np.array_equal(getattr(again, name), getattr(views, name)[order]), f"{name}: to the bit"


def test_skinning_equals_the_hand_model(hands: HandDraws, model: HandModel) -> None:
    skin, joints = skinner_of(model.arrays).pose(np.eye(3), hands.hand_pose[0], hands.betas[0])
    out = model(torch.eye(3), torch.from_numpy(hands.hand_pose[0]), torch.from_numpy(hands.betas[0]))
    np.testing.assert_allclose(skin, out.vertices.numpy(), atol=5e-7)  # float32 sums of 145 terms at 0.2 m
    np.testing.assert_allclose(joints, out.joints.numpy(), atol=5e-7)


def test_one_generator_per_hand(hands: HandDraws, model: HandModel) -> None:
    with pytest.raises(ValueError, match="betas and rngs must hold 2 hands"):
        draw_views(hands.hand_pose[:2], hands.betas[:2], generators(0, 1), model, WIDTH, HEIGHT)
