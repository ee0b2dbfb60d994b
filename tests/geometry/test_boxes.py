"""Boxes in pixels."""

from __future__ import annotations

import numpy as np
import pytest

from hamer.geometry.boxes import (
    box_areas,
    boxes_from_keypoints,
    clip_boxes,
    coverage_matrix,
    expand_to_aspect_ratio,
    iou_matrix,
)


def test_iou_of_known_boxes() -> None:
    a = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    b = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [40, 40, 50, 50], [25, 25, 25, 25]])
    np.testing.assert_allclose(iou_matrix(a, b), [[1, 1 / 3, 0, 0], [0, 0, 0, 0]])


def test_iou_without_area_or_boxes_is_zero_or_empty() -> None:
    point = np.array([[5.0, 5, 5, 5]])
    assert iou_matrix(point, point) == 0
    assert iou_matrix(np.zeros((0, 4)), np.ones((3, 4))).shape == (0, 3)


def test_iou_is_symmetric_and_bounded() -> None:
    corners = np.random.default_rng(0).uniform(0, 100, (30, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    iou = iou_matrix(boxes, boxes)
    np.testing.assert_allclose(iou, iou.T)
    np.testing.assert_allclose(np.diag(iou), 1)
    assert iou.min() >= 0
    assert iou.max() <= 1 + 1e-12


def test_swapped_corners_have_no_area() -> None:
    assert box_areas(np.array([[10.0, 10, 0, 20]])) == 0


def test_boxes_from_keypoints() -> None:
    points = np.array([[10.0, 20, 1], [30, 60, 0.5], [1000, 1000, 0], [np.nan, 5, 1]])
    np.testing.assert_allclose(boxes_from_keypoints(points), [10, 20, 30, 60])
    np.testing.assert_allclose(boxes_from_keypoints(points, 0.5), [0, 0, 40, 80])
    np.testing.assert_allclose(boxes_from_keypoints(points, min_confidence=0.6), [10, 20, 10, 20])
    many = boxes_from_keypoints(np.stack([points, points + np.array([5.0, 0, 0])]))
    np.testing.assert_allclose(many[1], [15, 20, 35, 60])


def test_boxes_of_no_points_are_nan() -> None:
    assert np.isnan(boxes_from_keypoints(np.zeros((2, 21, 3)))).all()
    with pytest.raises(ValueError, match="2 or 3 numbers"):
        boxes_from_keypoints(np.zeros((21, 4)))


def test_clip_boxes() -> None:
    np.testing.assert_allclose(clip_boxes(np.array([[-5.0, 3, 700, 490]]), 640, 480), [[0, 3, 640, 480]])


@pytest.mark.parametrize(("shape", "expected"), [((100, 100), (100, 400 / 3)), ((60, 100), (75, 100))])
def test_expand_to_aspect_ratio(shape: tuple[float, float], expected: tuple[float, float]) -> None:
    np.testing.assert_allclose(expand_to_aspect_ratio(np.array(shape), (192, 256)), expected)


def test_expand_to_aspect_ratio_leaves_other_input() -> None:
    assert expand_to_aspect_ratio((3, 4)) == (3, 4)
    assert expand_to_aspect_ratio(7, (192, 256)) == 7


def test_coverage_is_the_part_of_the_first_inside_the_second() -> None:
    a = np.array([[0.0, 0, 10, 10], [0, 0, 0, 5]])
    b = np.array([[5.0, 0, 15, 10], [-5, -5, 50, 50], [20, 20, 30, 30]])
    np.testing.assert_allclose(coverage_matrix(a, b), [[0.5, 1.0, 0.0], [0.0, 0.0, 0.0]])
