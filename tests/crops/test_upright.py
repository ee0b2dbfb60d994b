"""Crops that show hands upright: directions, squares, the way back to the picture, and the draw of training."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hamer.crops import crop_pictures, crop_to_picture, picture_to_crop
from hamer.crops.upright import UprightDraw, hand_rotation, upright_view
from hamer.geometry.directions import turns_about_view

RNG = np.random.default_rng(0)


def hand_at(degrees: float, at: tuple[float, float] = (200.0, 150.0), length: float = 60.0) -> np.ndarray:
    """(21, 2) px of an open hand that points `degrees` clockwise from up, its wrist at `at`."""
    spread = np.linspace(-0.4, 0.4, 5)
    fingers = [
        [(np.sin(a) * r, -np.cos(a) * r) for r in (0.55, 0.75, 0.9, 1.0)]
        for a in (-0.8, *spread[1:] - spread[1:].mean())
    ]
    points = length * np.concatenate([np.zeros((1, 2)), np.array(fingers).reshape(20, 2)])
    return points @ turns_about_view(degrees)[:2, :2].T + at


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, -90.0, 179.0, -135.0])
def test_the_direction_is_the_angle_from_up_clockwise(degrees: float) -> None:
    assert hand_rotation(hand_at(degrees)) == pytest.approx(degrees, abs=1e-9)


def test_a_mirrored_hand_points_the_other_way() -> None:
    points = RNG.normal(size=(8, 21, 2))
    np.testing.assert_allclose(hand_rotation(points * [-1, 1]), -hand_rotation(points))


def test_directions_of_hands_that_are_not_known_are_nan() -> None:
    hands = np.tile(hand_at(20.0), (5, 1, 1))
    hands[0, 0] = np.nan  # no wrist
    hands[1, [5, 9, 13]] = np.nan  # one knuckle
    hands[2, [5, 9]] = np.nan  # two are enough
    hands[3, :] = 7.0  # a point
    hands[4, 0] = np.inf
    assert np.isfinite(hand_rotation(hands)).tolist() == [False, False, True, False, False]
    assert hand_rotation(hands)[2] == pytest.approx(20.0, abs=15.0)


@pytest.mark.parametrize("degrees", [0.0, 40.0, -100.0])
def test_the_square_is_tight_around_the_turned_points(degrees: float) -> None:
    points = hand_at(degrees)
    view = upright_view(points, degrees, (400, 300))
    inside = (points - view.center) @ turns_about_view(degrees)[:2, :2]  # in the square's own axes
    np.testing.assert_allclose((inside.min(0) + inside.max(0)) / 2, 0, atol=1e-9)
    np.testing.assert_allclose(np.ptp(inside, axis=0), (view.width, view.height))
    assert inside[9, 1] < inside[0, 1]  # the knuckles above the wrist
    upright = upright_view(hand_at(0.0), 0.0, (400, 300))
    assert (view.width, view.height) == pytest.approx((upright.width, upright.height))  # however the hand is turned
    x0, y0, x1, y1 = view.box
    assert (x1 - x0, y1 - y0, (x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((view.width, view.height, *view.center))


def test_points_outside_the_picture_count_as_on_its_edge() -> None:
    points = hand_at(0.0, at=(200.0, 30.0))  # its tips are 30 px above the picture
    view = upright_view(points, 0.0, (400, 300))
    clipped = np.clip(points, 0, [399, 299])
    assert view.center == pytest.approx(tuple((clipped.min(0) + clipped.max(0)) / 2))


def test_turns_are_rotations_about_the_viewing_axis() -> None:
    angles = RNG.uniform(-360, 360, (3, 4))
    turns = turns_about_view(angles)
    np.testing.assert_allclose(turns @ turns.swapaxes(-1, -2), np.broadcast_to(np.eye(3), (3, 4, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    np.testing.assert_allclose(turns_about_view(90) @ [0, -1, 0], [1, 0, 0], atol=1e-12)  # up to the right
    np.testing.assert_allclose(turns[..., 2, :], np.broadcast_to([0, 0, 1], (3, 4, 3)))


@pytest.mark.parametrize("is_right", [1, 0])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_crop_is_the_crop_of_the_turned_picture(is_right: int, quarters: int) -> None:
    """Whole quarters need no interpolation: the same pixels, but for the half pixel by which the crop's centre lies off."""
    side = 64
    picture = RNG.integers(0, 255, (200, 200, 3), np.uint8)
    turned = np.ascontiguousarray(np.rot90(picture, quarters))  # counterclockwise as seen
    box = np.array([[60.0, 70.0, 60.0 + side, 70.0 + side]])
    center = (box[0, :2] + box[0, 2:]) / 2 - 99.5
    at = center @ turns_about_view(-90 * quarters)[:2, :2].T + 99.5
    turned_box = np.r_[at - side / 2, at + side / 2][None]
    options = {"rescale_factor": 1.0, "bbox_shape": None, "size": side}
    one = crop_pictures([picture], [0], box, [is_right], rotation=np.array([90.0 * quarters]), **options).img
    other = crop_pictures([turned], [0], turned_box, [is_right], **options).img
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("rotation", [[], [1.0, 2.0], [np.nan], [[3.0]]])
def test_angles_that_are_none_are_refused(rotation: list[float]) -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(ValueError, match=r"rotation must be \(1,\) finite degrees"):
        crop_pictures([picture], [0], [[2, 2, 9, 9]], [1], rotation=np.array(rotation))


@pytest.mark.parametrize("right", [1.0, 0.0])
def test_points_find_the_way_to_the_crop_and_back(right: float) -> None:
    points = RNG.uniform(0, 300, (3, 21, 2))
    window = {
        "box_center": RNG.uniform(50, 250, (3, 2)), "box_size": RNG.uniform(20, 90, 3), "right": np.full(3, right),
        "size": 128, "rotation": np.array([0.0, 35.0, -160.0]),
    }  # fmt: skip
    there = picture_to_crop(points, **window)
    np.testing.assert_allclose(crop_to_picture(there, **window), points, atol=1e-9)
    plain = picture_to_crop(points, **{**window, "rotation": None})
    np.testing.assert_allclose(there[0], plain[0])
    assert np.abs(there[1:] - plain[1:]).max() > 1
    tensors = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in window.items()}
    np.testing.assert_allclose(picture_to_crop(torch.from_numpy(points), **tensors), there)


@pytest.mark.parametrize("is_right", [True, False])
def test_a_point_is_where_its_pixel_is(is_right: bool) -> None:
    """A spot of light in the picture, its place in the crop by `to_crop`, and the crop's own pixels."""
    y, x = np.mgrid[0:200, 0:240]
    spot = np.array([131.0, 88.0])
    light = 250 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 18)
    picture = np.repeat(light[..., None], 3, -1).astype(np.uint8)
    rotation = np.array([50.0])
    crops = crop_pictures(
        [picture], [0], [[80, 60, 160, 140]], [is_right], rotation=rotation, size=96, bbox_shape=None, mean=(0,) * 3, std=(1,) * 3
    )  # fmt: skip
    level = crops.img[0, 0].astype(float)
    rows, columns = np.mgrid[0:96, 0:96]
    found = np.array([(level * columns).sum(), (level * rows).sum()]) / level.sum()
    np.testing.assert_allclose(crops.to_crop(spot[None, None])[0, 0], found, atol=0.05)  # pixels are whole grey levels
    np.testing.assert_allclose(crops.to_picture(found[None, None])[0, 0], spot, atol=0.1)


def test_the_draw_is_that_of_the_configuration() -> None:
    draw, rng = UprightDraw.from_config(SimpleNamespace(UPRIGHT_RATE=0.8, UPRIGHT_JITTER=12)), random.Random(0)
    drawn = [draw.sample(rng) for _ in range(4000)]
    some = np.array([off for off in drawn if off is not None])
    assert len(some) / len(drawn) == pytest.approx(0.8, abs=0.02)
    assert some.std() == pytest.approx(12 * 0.959, abs=0.3)  # 0.959: of normal numbers clipped at 2
    assert np.abs(some).max() <= 24
    assert UprightDraw.from_config(None).sample(rng) == 0  # without augmentation exactly upright


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPRIGHT_RATE", 1.5),
        ("UPRIGHT_RATE", float("nan")),
        ("UPRIGHT_JITTER", -1),
        ("UPRIGHT_JITTER", [5]),
        ("UPRIGHT_RATE", "often"),
    ],
)
def test_what_cannot_be_drawn_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"DATASETS.CONFIG.*{name}.* must be"):
        UprightDraw.from_config(SimpleNamespace(**{name: value}))
