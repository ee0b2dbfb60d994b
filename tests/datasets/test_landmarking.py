"""What the landmark model notes on a made picture: near the truth where it sees the hand, nothing where it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hamer.datasets.landmarking import Landmarker, jittered
from hamer.datasets.synthetic.maker import MadePicture, PictureMaker
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.detectors.regions import Regions
from hamer.pipeline.reconstructor import load_hand_model


@pytest.fixture(scope="module")
def landmarker(landmark_models: tuple[Path, Path]) -> Landmarker:
    return Landmarker(landmark_models[1])


@pytest.fixture(scope="module")
def pictures() -> list[MadePicture]:
    """Hands that nothing covers, in pictures without a camera's faults."""
    options = SyntheticOptions(skins=1, second_hand=0, held_object=0, occluder=0, person=0, effects=0)
    return PictureMaker(load_hand_model("open"), options, seed=5).batch(range(8))


def test_most_hands_are_seen_where_they_are(landmarker: Landmarker, pictures: list[MadePicture]) -> None:
    misses = []
    for number, picture in enumerate(pictures):
        points = picture.truth.keypoints_2d
        found = landmarker.of(picture.rgb, points, np.random.default_rng(number))
        if found is None:
            continue
        assert found.points.shape == found.world.shape == (21, 3)
        assert ((found.points[:, 2] >= 0) & (found.points[:, 2] <= 1)).all()
        seen = picture.visibility
        size = np.ptp(points, axis=0).max()
        misses.append(np.linalg.norm(found.points[:, :2] - points, axis=1)[seen].mean() / size)
    # The model was trained on photos; a drawn hand in an odd view it may not know. Half of them is far above chance, at
    # which the joints' mean distance is a third of the hand.
    assert len(misses) >= 4
    assert np.median(misses) < 0.12


def test_the_same_numbers_give_the_same_landmarks(landmarker: Landmarker, pictures: list[MadePicture]) -> None:
    points = pictures[0].truth.keypoints_2d
    first, again = (landmarker.of(pictures[0].rgb, points, np.random.default_rng(1)) for _ in range(2))
    assert (first is None) == (again is None)
    if first is not None and again is not None:
        np.testing.assert_array_equal(first.points, again.points)


def test_no_landmarks_without_a_hand(landmarker: Landmarker, pictures: list[MadePicture]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    assert landmarker.of(noise, pictures[0].truth.keypoints_2d, np.random.default_rng(0)) is None


def test_no_landmarks_where_another_hand_is_found(landmarker: Landmarker, pictures: list[MadePicture]) -> None:
    """The region finds the hand, but the joints asked for lie elsewhere: what it saw was not this hand."""
    seen, seen_elsewhere = 0, 0
    for picture in pictures:
        points = picture.truth.keypoints_2d
        turned = points[:1] + (points - points[:1]) * [-1, -1]  # by half a turn about the wrist
        seen += landmarker.of(picture.rgb, points, np.random.default_rng(0)) is not None
        seen_elsewhere += landmarker.of(picture.rgb, turned, np.random.default_rng(0)) is not None
    assert seen >= 4
    assert seen_elsewhere == 0  # two of the eight, were it not looked at where the joints are


def test_regions_are_moved_within_bounds() -> None:
    regions = Regions.of(np.zeros((500, 2)), np.full(500, 100.0), 0.0)
    moved = jittered(regions, np.random.default_rng(0))
    assert 7.5 < np.abs(moved.centers).max() <= 8
    assert 85 <= moved.sizes.min() < 86
    assert 114 < moved.sizes.max() <= 115
    assert np.deg2rad(14) < np.abs(moved.angles).max() <= np.deg2rad(15)


def test_joints_that_are_not_labelled_do_not_count(landmarker: Landmarker, pictures: list[MadePicture]) -> None:
    for picture in pictures:
        points = np.c_[picture.truth.keypoints_2d, np.ones(21)]
        whole = landmarker.of(picture.rgb, points, np.random.default_rng(0))
        points[[4, 8, 12]] = [-5000, 0, 0]  # fingertips
        without_tips = landmarker.of(picture.rgb, points, np.random.default_rng(0))
        assert (whole is None) == (without_tips is None)
        if whole is not None and without_tips is not None:
            np.testing.assert_array_equal(whole.points, without_tips.points)
        points[9] = np.nan, np.nan, 0
        assert landmarker.of(picture.rgb, points, np.random.default_rng(0)) is None
