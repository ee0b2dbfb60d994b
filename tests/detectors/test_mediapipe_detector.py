"""The detector end to end, with the real networks on real and made pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hamer.detectors.mediapipe import MediapipeDetector
from hamer.detectors.merging import Consensus
from hamer.geometry.boxes import iou_matrix
from hamer.structures import HandBoxes


@pytest.fixture(scope="module")
def found(quick: MediapipeDetector, hand_picture: np.ndarray) -> HandBoxes:
    """The one right hand of the picture."""
    (hands,) = quick([hand_picture])
    assert len(hands) == 1
    return hands


def _read(path: Path) -> np.ndarray:
    """A picture as RGB uint8."""
    image = cv2.imread(str(path))
    assert image is not None, f"{path} cannot be read"
    return np.ascontiguousarray(image[..., ::-1])


def _points(hands: HandBoxes) -> np.ndarray:
    assert hands.keypoints_2d is not None
    return hands.keypoints_2d[0, :, :2].astype(float)


def _world(hands: HandBoxes) -> np.ndarray:
    assert hands.keypoints_3d is not None
    world = hands.keypoints_3d[0].astype(float)
    return world - world.mean(0)


def _similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two sets of centred joints."""
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_real_right_hand(found: HandBoxes) -> None:
    assert found.is_right[0]
    assert found.scores[0] > 0.9
    box = found.boxes[0]
    truth = np.array([48, 81, 159, 154])
    assert np.abs(box - truth).max() < 25  # annotated and detected joints differ by some pixels


def test_3d_joints_lie_in_the_axes_of_the_picture(found: HandBoxes) -> None:
    flat = _world(found)[:, :2]
    points = _points(found) - _points(found).mean(0)
    # Perspective and the model's own error are all that may differ between the two.
    assert _similarity(flat, points) > 0.95
    assert 0.1 < np.linalg.norm(_world(found)[0] - _world(found)[12]) < 0.25  # wrist to middle fingertip, metres


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turning_the_picture_turns_the_joints(
    quick: MediapipeDetector, hand_picture: np.ndarray, found: HandBoxes, quarters: int
) -> None:
    (hands,) = quick([np.ascontiguousarray(np.rot90(hand_picture, quarters))])
    assert len(hands) == 1
    expected, world = _points(found), _world(found)
    for _ in range(quarters):  # counter-clockwise: x' = y, y' = width - x
        expected = np.stack([expected[:, 1], 224 - expected[:, 0]], -1)
        world = np.stack([world[:, 1], -world[:, 0], world[:, 2]], -1)
    # The palm detector starts elsewhere in the turned picture; joints agree to a few percent of the hand's 110 px.
    assert np.linalg.norm(_points(hands) - expected, axis=-1).mean() < 6
    assert _similarity(_world(hands), world) > 0.95
    assert hands.is_right[0]


def test_a_mirrored_right_hand_is_a_left_hand(
    quick: MediapipeDetector, hand_picture: np.ndarray, found: HandBoxes
) -> None:
    (hands,) = quick([np.ascontiguousarray(hand_picture[:, ::-1])])
    assert len(hands) == 1
    assert not hands.is_right[0]
    assert np.linalg.norm(_points(hands) * [-1, 1] + [224, 0] - _points(found), axis=-1).mean() < 6
    assert _similarity(_world(hands) * [-1, 1, 1], _world(found)) > 0.95


def test_confidences_lie_in_0_to_1(found: HandBoxes) -> None:
    assert found.keypoints_2d is not None
    confidences = found.keypoints_2d[0, :, 2]
    assert (confidences >= 0).all()
    assert (confidences <= 1).all()
    assert confidences.mean() > 0.4


def test_a_small_hand_in_a_large_picture(detector: MediapipeDetector, hand_picture: np.ndarray) -> None:
    """40 px of hand in 1600 px of picture: what a single look at the whole picture cannot see."""
    scale = 40 / 111
    small = cv2.resize(hand_picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = np.full((1067, 1600, 3), small.reshape(-1, 3).mean(0).astype(np.uint8), np.uint8)
    side = len(small)
    picture[700 : 700 + side, 1100 : 1100 + side] = small
    (hands,) = detector([picture])
    assert len(hands) == 1
    center = (hands.boxes[0, :2] + hands.boxes[0, 2:]) / 2
    expected = np.array([1100, 700]) + np.array([103.5, 117.5]) * scale
    assert np.abs(center - expected).max() < 10
    assert hands.is_right[0]


def test_two_hands_side_by_side(quick: MediapipeDetector, hand_picture: np.ndarray) -> None:
    both = np.concatenate([hand_picture, hand_picture[:, ::-1]], axis=1)
    (hands,) = quick([both])
    assert sorted(hands.is_right.tolist()) == [False, True]
    assert (np.diff(hands.scores) <= 0).all()


def test_max_hands_keeps_the_best(models: tuple[Path, Path], hand_picture: np.ndarray) -> None:
    one = MediapipeDetector(effort="fast", max_hands=1, threads=1, palm_model=models[0], landmark_model=models[1])
    (hands,) = one([np.concatenate([hand_picture, hand_picture[:, ::-1]], axis=1)])
    assert len(hands) == 1


def test_joints_in_given_boxes(quick: MediapipeDetector, hand_picture: np.ndarray, found: HandBoxes) -> None:
    turned = np.ascontiguousarray(np.rot90(hand_picture))
    box = np.array([[81.0, 224 - 159, 154, 224 - 48]])
    hands = quick.landmarks_in_boxes(turned, box)
    expected = np.stack([_points(found)[:, 1], 224 - _points(found)[:, 0]], -1)
    assert np.linalg.norm(_points(hands) - expected, axis=-1).mean() < 8
    assert hands.is_right[0]
    np.testing.assert_allclose(hands.boxes, box)
    assert not quick.landmarks_in_boxes(turned, box, is_right=[False]).is_right[0]
    assert len(quick.landmarks_in_boxes(turned, np.zeros((0, 4)))) == 0


@pytest.mark.parametrize("kind", ["black", "white", "noise", "gradient", "checkerboard"])
def test_a_picture_without_hands_gives_none(detector: MediapipeDetector, kind: str) -> None:
    y, x = np.mgrid[0:240, 0:320]
    plane = {
        "black": np.zeros((240, 320)),
        "white": np.full((240, 320), 255),
        "noise": np.random.default_rng(0).integers(0, 256, (240, 320)),
        "gradient": (x + y) % 256,
        "checkerboard": ((x // 20 + y // 20) % 2) * 255,
    }[kind]
    (hands,) = detector([np.repeat(plane[..., None], 3, -1).astype(np.uint8)])
    assert len(hands) == 0


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 500), (5000, 4)])
def test_tiny_and_thin_pictures(quick: MediapipeDetector, shape: tuple[int, int]) -> None:
    assert len(quick([np.zeros((*shape, 3), np.uint8)])[0]) == 0


def test_a_huge_picture(quick: MediapipeDetector) -> None:
    assert len(quick([np.zeros((8000, 8000, 3), np.uint8)])[0]) == 0


def test_no_pictures(quick: MediapipeDetector) -> None:
    assert quick([]) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20), np.uint8), r"shape \(H, W, 3\), got \(20, 20\); a grey picture becomes RGB"),
        (np.zeros((20, 20, 4), np.uint8), r"shape \(H, W, 3\), got \(20, 20, 4\)"),
        (np.zeros((20, 20, 3)), "must be uint8 in 0..255, got float64"),
        (np.zeros((0, 20, 3), np.uint8), "no pixels"),
        ("photo.jpg", "numpy array.*got str"),
    ],
)
def test_what_is_no_picture_is_named(quick: MediapipeDetector, image: object, message: str) -> None:
    with pytest.raises(ValueError, match=rf"images\[1\].*{message}"):
        quick([np.zeros((4, 4, 3), np.uint8), image])  # type: ignore[list-item]


def test_one_array_instead_of_a_list(quick: MediapipeDetector) -> None:
    with pytest.raises(ValueError, match=r"pass \[image\]"):
        quick(np.zeros((20, 20, 3), np.uint8))  # type: ignore[arg-type]


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from hamer.errors import AssetError

    path = tmp_path / "palm.tflite"
    path.write_bytes(b"nothing")
    with pytest.raises(AssetError, match="not a usable LiteRT network"):
        MediapipeDetector(palm_model=path, landmark_model=path)


def test_several_threads_give_what_one_gives(
    models: tuple[Path, Path], quick: MediapipeDetector, hand_picture: np.ndarray, found: HandBoxes
) -> None:
    one = MediapipeDetector(effort="fast", threads=1, palm_model=models[0], landmark_model=models[1])
    (hands,) = one([hand_picture])
    np.testing.assert_array_equal(_points(hands), _points(found))  # the same arithmetic, whoever does it


def test_a_hand_whose_palm_the_palm_detector_does_not_see(detector: MediapipeDetector, photos: Path) -> None:
    """A large glove with print on its back: found by the landmark model in its windows alone."""
    image = _read(photos / "test4.jpg")
    truth = np.array([[498.0, 738.0, 1035.0, 1298.0]])
    (hands,) = detector([image])
    overlap = iou_matrix(truth, hands.boxes.astype(float))[0]
    assert overlap.max(initial=0) > 0.4
    assert hands.is_right[overlap.argmax()]


def test_an_arm_or_a_coat_beside_a_hand_is_not_a_hand(detector: MediapipeDetector, photos: Path) -> None:
    """Windows of all sizes see hands in sleeves and coats; beside a hand that is sure they must be of its size."""
    for name in ("four_249c5023", "none_0a71a6e8"):
        (path,) = (photos / "wild").glob(f"{name}*.jpg")
        (hands,) = detector([_read(path)])
        sides = (hands.boxes[:, 2:] - hands.boxes[:, :2]).max(-1)
        assert len(hands) == 1, f"{path.name}: {hands.boxes}"
        assert sides.max() < 120


def test_the_only_hand_of_a_picture_needs_less_evidence_unless_a_score_is_asked_for(
    detector: MediapipeDetector, models: tuple[Path, Path]
) -> None:
    def candidates(*entries: tuple[float, int]) -> Consensus:
        n = len(entries)
        zeros = np.zeros(n)
        scores, support = (np.array(column) for column in zip(*entries, strict=True))
        return Consensus(np.zeros((n, 21, 2)), np.zeros((n, 21)), np.zeros((n, 21, 3)), *[zeros] * 3, support, scores)

    assert detector._kept(candidates((0.3, 100), (0.25, 100))).tolist() == [True, False]
    assert detector._kept(candidates((0.3, 10), (0.1, 100))).tolist() == [False, False]  # a palm that few tiles show
    assert detector._kept(candidates((0.9, 10), (0.3, 100))).tolist() == [True, False]  # there is a hand already
    strict = MediapipeDetector(min_score=0.4, palm_model=models[0], landmark_model=models[1])
    assert not strict._kept(candidates((0.3, 100))).any()


@pytest.mark.slow
def test_every_photo_of_people_in_the_wild_has_a_hand(detector: MediapipeDetector, photos: Path) -> None:
    files = sorted((photos / "wild").glob("*.jpg"))
    assert files
    without = [path.name for path in files if not len(detector([_read(path)])[0])]
    assert not without
