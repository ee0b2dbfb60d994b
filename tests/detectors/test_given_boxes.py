"""Boxes that the caller gives: the file's format, and every way to get it wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamer import detectors
from hamer.detectors.given_boxes import GivenBoxes

_IMAGE = np.zeros((100, 200, 3), np.uint8)
_HAND = {"box": [10, 20, 60, 80], "is_right": True}


def _load(hands: Any, **options: Any) -> GivenBoxes:
    return GivenBoxes({"a.jpg": hands}, landmarks="never", **options)


def test_boxes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"a.jpg": [_HAND, {**_HAND, "is_right": False, "score": 0.5}], "b.png": []}))
    detector = detectors.load("boxes", boxes=path, landmarks="never")
    found, none = detector([_IMAGE, _IMAGE], names=["folder/a.jpg", "b.png"])
    np.testing.assert_allclose(found.boxes, [[10, 20, 60, 80]] * 2)
    np.testing.assert_array_equal(found.is_right, [True, False])
    np.testing.assert_allclose(found.scores, [1, 0.5])
    assert found.keypoints_2d is None
    assert len(none) == 0


@pytest.mark.parametrize("key", ["a.jpg", "a", "photos/a.jpg", "other/a.jpg"])
def test_pictures_are_known_by_path_name_or_stem(key: str) -> None:
    detector = GivenBoxes({key: [_HAND]}, landmarks="never")
    assert len(detector([_IMAGE], names=[Path("photos/a.jpg")])[0]) == 1


def test_given_joints_are_taken_over_and_missing_ones_are_nan() -> None:
    points = np.arange(42.0).reshape(21, 2)
    (found,) = _load([{**_HAND, "keypoints_2d": points.tolist()}, _HAND])([_IMAGE])
    assert found.keypoints_2d is not None
    np.testing.assert_allclose(found.keypoints_2d[0, :, :2], points)
    np.testing.assert_allclose(found.keypoints_2d[0, :, 2], 1)
    assert np.isnan(found.keypoints_2d[1]).all()


def test_a_box_may_reach_over_the_edge() -> None:
    (found,) = _load([{"box": [-10, -10, 30, 30], "is_right": 0}])([_IMAGE])
    np.testing.assert_allclose(found.boxes, [[-10, -10, 30, 30]])


@pytest.mark.parametrize(
    ("hand", "message"),
    [
        ({"box": [1, 2, 3], "is_right": True}, "box must have shape"),
        ({"box": [1, 2, 3, float("nan")], "is_right": True}, "box must hold finite numbers"),
        ({"box": [1, 2, 3, "x"], "is_right": True}, "box must hold numbers"),
        ({"box": [60, 20, 10, 80], "is_right": True}, "x1 > x0 and y1 > y0"),
        ({"box": [10, 20, 60, 80], "is_right": "left"}, "is_right must be true, false or null"),
        ({"is_right": True}, "must be an object with"),
        ([10, 20, 60, 80], "must be an object with"),
        ({**_HAND, "side": "left"}, "unknown fields"),
        ({**_HAND, "score": 2}, "score must lie in 0..1"),
        ({**_HAND, "keypoints_2d": [[1, 2]]}, "keypoints_2d must have shape"),
    ],
)
def test_wrong_entries_name_picture_hand_and_field(hand: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"'a\.jpg', hand 1.*{message}"):
        _load([_HAND, hand])


def test_an_entry_must_be_a_list() -> None:
    with pytest.raises(ValueError, match=r"'a.jpg' must be a list of hands, got a dict"):
        _load(_HAND)


def test_a_box_outside_the_picture() -> None:
    detector = _load([{"box": [300, 20, 360, 80], "is_right": True}])
    with pytest.raises(ValueError, match="lies outside the picture of 200x100 px"):
        detector([_IMAGE])


def test_a_picture_that_the_file_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"no entry for 'b\.jpg'.*a\.jpg.*empty list"):
        _load([_HAND])([_IMAGE], names=["b.jpg"])


def test_an_ambiguous_name() -> None:
    detector = GivenBoxes({"x/a.jpg": [], "y/a.jpg": []}, landmarks="never")
    with pytest.raises(ValueError, match="several entries"):
        detector([_IMAGE], names=["a.jpg"])


def test_names_and_pictures_must_match() -> None:
    with pytest.raises(ValueError, match="one for each picture"):
        _load([_HAND])([_IMAGE, _IMAGE])
    with pytest.raises(ValueError, match="one for each picture"):
        _load([_HAND])([_IMAGE], names=["a.jpg", "b.jpg"])


def test_an_unknown_side_needs_the_landmark_model() -> None:
    with pytest.raises(ValueError, match="hand 0: is_right must be true or false"):
        _load([{"box": [10, 20, 60, 80]}])([_IMAGE])


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "\x00"])
def test_a_file_that_is_no_json_object(tmp_path: Path, content: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"boxes\.json must"):
        GivenBoxes(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        GivenBoxes(tmp_path / "none.json")


def test_joints_are_filled_in_by_the_landmark_model(models: tuple[Path, Path], hand_picture: np.ndarray) -> None:
    detector = GivenBoxes({"hand": [{"box": [48, 81, 159, 154]}]})
    (found,) = detector([hand_picture])
    assert found.is_right.all()
    assert found.keypoints_2d is not None
    points = found.keypoints_2d[0, :, :2]
    assert (points >= [30, 60]).all()
    assert (points <= [180, 175]).all()
