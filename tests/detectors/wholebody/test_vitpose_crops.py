"""Boxes to network input, against golden/vitpose/pre.npz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.detectors.wholebody.crops import (
    centers_and_scales,
    check_person_boxes,
    crop_matrix,
    network_input,
    person_crop,
)


@pytest.fixture(scope="module")
def pre(vitpose_golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(vitpose_golden / "pre.npz"))


def test_centres_scales_and_matrices_are_the_originals(pre: dict[str, np.ndarray]) -> None:
    centers, scales = centers_and_scales(pre["box_xyxy_score"][:, :4])
    np.testing.assert_array_equal(centers, pre["center"])
    np.testing.assert_array_equal(scales, pre["scale"])
    matrices = np.stack([crop_matrix(*pair) for pair in zip(centers, scales, strict=True)])
    np.testing.assert_array_equal(matrices, pre["matrix"])


def test_crops_are_the_originals_to_the_last_bit(
    pre: dict[str, np.ndarray], cases: dict[str, Any], pictures: dict[str, np.ndarray]
) -> None:
    for index, person in enumerate(cases["persons"]):
        crop = person_crop(pictures[person["photo"]], pre["center"][index], pre["scale"][index])
        np.testing.assert_array_equal(crop, pre["crop_rgb_u8"][index])


def test_network_input(pre: dict[str, np.ndarray]) -> None:
    inputs = network_input(torch.from_numpy(pre["crop_rgb_u8"])).numpy()
    # The original divides and subtracts in another order: a rounding of numbers up to 2.7.
    np.testing.assert_allclose(inputs[:, :, 120:136, 88:104], pre["input_slice"], atol=1e-6)
    np.testing.assert_allclose(inputs[0], pre["first_input_f16"].astype(np.float32), atol=1e-3)  # stored as float16
    flat = inputs.reshape(len(inputs), 3, -1).astype(np.float64)
    statistics = np.stack([flat.mean(-1), flat.std(-1), flat.min(-1), flat.max(-1)], -1)
    np.testing.assert_allclose(statistics, pre["input_stats"], atol=2e-6)


def test_a_box_outside_the_picture_shows_black() -> None:
    image = np.full((20, 30, 3), 200, np.uint8)
    for box in ([100.0, 100, 120, 140], [-90.0, -80, -60, -50], [1e7, 0, 1e7 + 50, 9]):
        centers, scales = centers_and_scales(np.array([box], np.float32))
        assert not person_crop(image, centers[0], scales[0]).any()


def test_a_point_is_a_box_of_one_pixel() -> None:
    centers, scales = centers_and_scales(np.array([[5, 7, 5, 7]], np.float32))
    np.testing.assert_allclose(centers, [[5.5, 7.5]])
    np.testing.assert_allclose(scales * 200, [[1.25, 1.25 / 0.75]])  # height follows the crop's shape
    image = np.zeros((20, 20, 3), np.uint8)
    image[7, 5] = 255
    assert person_crop(image, centers[0], scales[0]).max() == 255


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[0, 0, np.nan, 5]], r"person_boxes\[0\] must be finite"),
        ([[0, 0, 5, 5], [0, 0, np.inf, 5]], r"person_boxes\[1\] must be finite"),
        ([[9, 0, 5, 5]], r"x1 >= x0"),
        ([[0, 0, 5, 5, 0.9]], r"shape \(P, 4\).*leave scores out"),
        ([0, 0, 5, 5], r"shape \(P, 4\)"),
    ],
)
def test_boxes_that_are_none_are_named(boxes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_person_boxes(boxes)
