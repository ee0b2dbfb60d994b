"""Bodies in real photos, and hands that only their arms show."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from hamer import assets
from hamer.detectors.bodies import Bodies, BodySearch, anchors
from hamer.detectors.mediapipe import MediapipeDetector, _body_models
from hamer.detectors.regions import Pyramid
from hamer.detectors.search import EFFORTS, body_tiles
from hamer.errors import AssetError
from hamer.geometry.boxes import iou_matrix

SKIER = "000000000785.jpg"


@pytest.fixture(scope="module")
def search() -> BodySearch:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed (no wheel for this platform?)")
    try:
        return BodySearch(*assets.body_models())
    except AssetError as error:
        pytest.skip(f"the body models cannot be fetched: {error}")


def found(search: BodySearch, picture: np.ndarray) -> Bodies:
    return search(Pyramid(picture), body_tiles(picture.shape[1], picture.shape[0], EFFORTS["normal"]))


@pytest.fixture(scope="module")
def skier(photos: Path) -> np.ndarray:
    image = cv2.imread(str(photos / SKIER))
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1])


def test_anchors_are_the_published_ones() -> None:
    assert anchors().shape == (2254, 2)
    assert anchors()[0] == pytest.approx([0.5 / 28, 0.5 / 28])
    assert anchors()[-1] == pytest.approx([6.5 / 7, 6.5 / 7])


def test_a_person_once_with_every_joint_in_its_place(search: BodySearch, skier: np.ndarray, photos: Path) -> None:
    bodies = found(search, skier)
    assert len(bodies) == 1
    annotated = next(p for p in json.loads((photos / "photos.json").read_text()) if p["file"] == SKIER)
    wrist = np.array(annotated["hands"][0]["keypoints_2d"][0][:2])
    assert np.linalg.norm(bodies.points[0, 16] - wrist) < 15  # her right one; she is 220 px high
    nose, hips, ankles = bodies.points[0, 0, 1], bodies.points[0, 23:25, 1], bodies.points[0, 27:29, 1]
    assert nose < hips.min() < ankles.min()
    assert (bodies.visible[0, 11:17] > 0.7).all()
    assert bodies.spreads[0, 11:17].max() < 10


def test_the_mirrored_picture_has_the_mirrored_body(search: BodySearch, skier: np.ndarray) -> None:
    plain, mirrored = (found(search, np.ascontiguousarray(picture)) for picture in (skier, skier[:, ::-1]))
    width = skier.shape[1]
    left, right = plain.points[0, [11, 13, 15]], mirrored.points[0, [12, 14, 16]]
    # the networks do not see in mirrors what they see without: 7 % of her height of 220 px
    np.testing.assert_allclose(right, (width - 1, 0) + left * (-1, 1), atol=15)


def test_no_body_in_a_picture_without(search: BodySearch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    for picture in (np.zeros((240, 320, 3), np.uint8), cv2.GaussianBlur(noise, (0, 0), 9), noise[:1, :1]):
        assert len(found(search, np.ascontiguousarray(picture))) == 0


def test_gloves_of_a_skier_are_found_at_the_ends_of_her_arms(
    models: tuple[Path, Path], search: BodySearch, skier: np.ndarray, photos: Path
) -> None:
    """24 px, black, holding sticks: nothing but the arms says that these are hands."""
    (without,) = MediapipeDetector(bodies=False, palm_model=models[0], landmark_model=models[1])([skier])
    (hands,) = MediapipeDetector(palm_model=models[0], landmark_model=models[1])([skier])
    assert len(without) == 0
    assert sorted(hands.is_right.tolist()) == [False, True]
    assert hands.keypoints_2d is not None
    assert hands.notes == ("of 2 of the hands found only the arm is seen",)
    annotated = next(p for p in json.loads((photos / "photos.json").read_text()) if p["file"] == SKIER)
    box = np.array([annotated["hands"][0]["box"]], float)
    assert iou_matrix(box, hands.boxes[hands.is_right].astype(float))[0, 0] > 0.2  # of a size that only the body tells


def test_without_the_networks_the_search_goes_on_and_says_so(
    models: tuple[Path, Path],
    hand_picture: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def nothing() -> None:
        raise AssetError("no network here: hamer fetch pose_landmarker")

    monkeypatch.setattr(assets, "body_models", nothing)
    _body_models.cache_clear()
    with caplog.at_level(logging.WARNING):
        detector = MediapipeDetector(palm_model=models[0], landmark_model=models[1])
    assert "arms are not followed to small hands: no network here: hamer fetch pose_landmarker" in caplog.text
    assert not detector.follows_arms
    (hands,) = detector([hand_picture])
    assert len(hands) == 1
    MediapipeDetector(palm_model=models[0], landmark_model=models[1])
    assert caplog.text.count("arms are not followed") == 1  # and it is not asked for again
    _body_models.cache_clear()


def test_a_damaged_network_is_told_and_the_search_goes_on(
    models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cut.tflite").write_bytes(b"nothing")
    monkeypatch.setattr(assets, "body_models", lambda: [tmp_path / "cut.tflite"] * 2)
    _body_models.cache_clear()
    with caplog.at_level(logging.WARNING):
        detector = MediapipeDetector(palm_model=models[0], landmark_model=models[1])
    _body_models.cache_clear()
    assert not detector.follows_arms
    assert "delete it to fetch it anew" in caplog.text


def test_other_networks_are_refused(models: tuple[Path, Path]) -> None:
    with pytest.raises(AssetError, match="must take 224x224 pictures and give 27048 and 2254 numbers"):
        BodySearch(*models)


def test_effort_fast_needs_no_body_models(models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "body_models", lambda: pytest.fail("fetched"))
    _body_models.cache_clear()
    MediapipeDetector(effort="fast", palm_model=models[0], landmark_model=models[1])
    MediapipeDetector(bodies=False, palm_model=models[0], landmark_model=models[1])


def test_max_hands_counts_hands_of_arms_alone_too(
    models: tuple[Path, Path], search: BodySearch, skier: np.ndarray
) -> None:
    (hands,) = MediapipeDetector(max_hands=1, palm_model=models[0], landmark_model=models[1])([skier])
    assert len(hands) == 1
    assert hands.notes == ("of 1 of the hands found only the arm is seen",)
