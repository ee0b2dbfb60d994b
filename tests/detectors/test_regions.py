"""Regions: geometry of the way into a crop and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hamer.detectors.regions import (
    COLOR,
    GREY,
    Pyramid,
    Regions,
    regions_from_keypoints,
    regions_from_palms,
)
from hamer.geometry.directions import upward_angle


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Points (..., 2) turned clockwise as seen (y down) about the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


@pytest.mark.parametrize(
    ("end", "angle"), [((0, -1), 0.0), ((1, 0), np.pi / 2), ((0, 1), np.pi), ((-1, 0), -np.pi / 2)]
)
def test_upward_angle(end: tuple[float, float], angle: float) -> None:
    found = upward_angle(np.zeros((1, 2)), np.array([end], float))[0]
    assert np.isclose(np.cos(found - angle), 1)


def test_region_of_an_upright_palm() -> None:
    keypoints = np.zeros((1, 7, 2))
    keypoints[0, 0], keypoints[0, 2] = [100, 150], [100, 100]
    region = regions_from_palms(np.array([[80.0, 90, 130, 140]]), keypoints)
    np.testing.assert_allclose(region.sizes, 2.6 * 50)
    np.testing.assert_allclose(region.centers, [[105, 115 - 25]])  # half a palm upwards
    np.testing.assert_allclose(region.angles, 0)


@pytest.mark.parametrize("angle", [0.4, 1.7, -2.5])
def test_region_turns_and_moves_with_the_hand(angle: float) -> None:
    hand = np.random.default_rng(1).random((1, 21, 2)) * 80
    plain = regions_from_keypoints(hand)
    turned = regions_from_keypoints(_turned(hand, angle) + np.array([30.0, -12.0]))
    np.testing.assert_allclose(turned.sizes, plain.sizes)
    np.testing.assert_allclose(turned.centers, _turned(plain.centers, angle) + np.array([30.0, -12.0]))
    np.testing.assert_allclose(np.cos(turned.angles - plain.angles - angle), 1)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [30.0, 150.0])  # enlarged, and reduced from a level of the pyramid
def test_a_spot_in_the_crop_is_found_back_in_the_picture(mirrored: bool, size: float) -> None:
    spot = np.array([123.0, 77.0])
    image = np.zeros((200, 260, 3), np.uint8)
    cv2.circle(image, (123, 77), round(size / 15), (255, 255, 255), -1)
    region = Regions.of(spot[None] + [0.1 * size, -0.15 * size], [size], 0.7, mirrored)
    crop = Pyramid(image).cut(region, 0, 64, cv2.BORDER_CONSTANT).sum(-1)
    rows, columns = np.mgrid[0:64, 0:64] + 0.5
    center = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum() / 64
    # The circle is drawn on whole pixels: its middle is the centre of pixel (123, 77), half a pixel inside.
    found = region.to_picture(center[None, None])[0, 0] - 0.5
    np.testing.assert_allclose(
        found, spot, atol=0.3
    )  # the pyramid's levels and bilinear weights blur by a part of a pixel


def test_pixel_coordinates_name_pixel_corners_or_centres_consistently() -> None:
    """The whole picture as a region is the picture itself, pixel for pixel."""
    image = np.random.default_rng(2).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    crop = Pyramid(image).cut(Regions.of([[16, 16]], [32]), 0, 32, cv2.BORDER_CONSTANT)
    np.testing.assert_allclose(crop * 255, image, atol=1e-3)  # float32 of 0..1


def test_grey_tone_has_no_colours() -> None:
    image = np.random.default_rng(3).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    region = Regions.of([[16, 16]], [20])
    grey = Pyramid(image).cut(region.changed(tone=GREY), 0, 32, cv2.BORDER_CONSTANT)
    assert np.ptp(grey, axis=-1).max() == 0
    assert region.tones[0] == COLOR  # the original is not changed


def test_directions_turn_with_the_region() -> None:
    region = Regions.of([[0, 0]], [10], np.pi / 2)
    up_and_deep = np.array([[[0.0, -1.0, 0.5]]])
    np.testing.assert_allclose(region.directions_to_picture(up_and_deep)[0, 0], [1, 0, 0.5], atol=1e-12)
    mirrored = Regions.of([[0, 0]], [10], 0.0, True)
    np.testing.assert_allclose(mirrored.directions_to_picture(np.array([[[1.0, 2.0, 3.0]]]))[0, 0], [-1, 2, 3])
