"""Hand boxes from whole-body keypoints, against the original's and on made-up keypoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamer.detectors.hands_of_persons import hands_from_keypoints, owned_hands
from hamer.structures import HandBoxes


@pytest.fixture(scope="module")
def cases(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "vitpose" / "cases.json").read_text())


def rows(hands: HandBoxes) -> list[list[float]]:
    return [[*map(float, box), float(right)] for box, right in zip(hands.boxes, hands.is_right, strict=True)]


@pytest.mark.parametrize(
    ("file", "array", "expected", "threshold"),
    [
        ("decode", "keypoints", "hand_boxes_decode", 0.5),
        ("full", "keypoints_flip", "hand_boxes_full_flip", 0.5),
        ("reduced", "keypoints_flip", "hand_boxes_reduced_flip", 0.5),
        ("reduced", "keypoints_flip", "hand_boxes_reduced_flip_threshold_0_2", 0.2),
    ],
)
def test_boxes_are_the_originals(
    golden: Path, cases: Any, file: str, array: str, expected: str, threshold: float
) -> None:
    keypoints = np.load(golden / "vitpose" / f"{file}.npz")[array]
    per_person = [rows(hands_from_keypoints(person[None], threshold)) for person in keypoints]
    assert per_person == cases[expected]
    together = owned_hands(keypoints, threshold)
    assert rows(together.hands) == [row for boxes in cases[expected] for row in boxes]
    assert together.persons.tolist() == [i for i, boxes in enumerate(cases[expected]) for _ in boxes]


def test_more_than_three_points_strictly_above_the_threshold() -> None:
    keypoints = np.zeros((1, 133, 3), np.float32)
    keypoints[0, -21:-18] = [[10, 20, 0.9], [30, 5, 0.8], [12, 40, 0.7]]
    keypoints[0, -18] = [99, 99, 0.5]  # exactly the threshold: does not count
    assert len(hands_from_keypoints(keypoints)) == 0
    keypoints[0, -18, 2] = 0.51
    hands = hands_from_keypoints(keypoints)
    assert rows(hands) == [[10, 5, 99, 99, 1]]
    np.testing.assert_allclose(hands.scores, [(0.9 + 0.8 + 0.7 + 0.51) / 21], rtol=1e-6)
    np.testing.assert_array_equal(hands.keypoints_2d, keypoints[:, -21:])


def test_scores_stay_in_range_where_maxima_do_not() -> None:
    keypoints = np.ones((1, 133, 3), np.float32)
    keypoints[..., 2] = 1.3
    keypoints[0, -1, 2] = -0.2
    np.testing.assert_allclose(hands_from_keypoints(keypoints).scores, [1, 20 / 21], rtol=1e-6)


def test_no_person() -> None:
    hands = hands_from_keypoints(np.zeros((0, 133, 3)))
    assert len(hands) == 0
    assert hands.keypoints_2d is not None
    assert hands.keypoints_2d.shape == (0, 21, 3)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"keypoints must have shape \(P, 133, 3\).*got \(1, 17, 3\)"):
        hands_from_keypoints(np.zeros((1, 17, 3)))


@pytest.mark.parametrize("broken", [(np.nan, 5, 0.9), (5, np.inf, 0.9), (5, 5, np.nan)])
def test_keypoints_that_are_not_finite_are_not_seen(broken: tuple[float, float, float]) -> None:
    keypoints = np.zeros((1, 133, 3), np.float32)
    keypoints[0, -21:] = np.column_stack([np.arange(21), np.arange(21), np.full(21, 0.9)])
    keypoints[0, -1] = broken
    hands = hands_from_keypoints(keypoints)
    assert hands.boxes.tolist() == [[0, 0, 19, 19]]
    assert hands.scores == pytest.approx([0.9 * 20 / 21])
    assert hands.keypoints_2d is not None
    assert np.isfinite(hands.keypoints_2d).all()
    keypoints[0, -18:] = broken
    assert len(hands_from_keypoints(keypoints)) == 0
