"""The ablation's figures on photos are those of the project's own small program, which shares no code with it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from hamer.structures import HandBoxes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ablation(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules beside the benchmark."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import ablation.made_hands
    import ablation.photo_hands
    import ablation.shrunk_hands
    import ablation.small_made_hands
    import ablation.ways

    return ablation


def score_photos(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_photos", shared / "tools" / "score_photos.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_on_photos_agree_with_an_independent_program(ablation: Any, shared: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    photos, answers = [], []
    for index in range(12):
        hands, given = [], []
        for number in range(int(rng.integers(0, 3))):
            points = rng.uniform(0, 60, (21, 2)) + 90 * number
            joints = rng.normal(0, 0.05, (21, 3))
            visible = rng.random(21) < 0.8
            kind = rng.integers(0, 4)
            hands.append({
                "box": [*points.min(0), *points.max(0)],
                "is_right": [True, False, None][int(rng.integers(0, 3))],
                "keypoints_2d": None if kind == 0 else np.column_stack([points, visible]).tolist(),
                "keypoints_3d": np.column_stack([joints, np.ones(21)]).tolist() if kind == 1 else None,
            })  # fmt: skip
            if rng.random() < 0.8:
                off = points + rng.normal(0, 4, (21, 2))
                given.append(
                    ablation.ways.Answer(bool(rng.random() < 0.5), off, joints + rng.normal(0, 0.01, (21, 3)), None)
                )
        photos.append({"file": f"{index}.jpg", "dataset": f"source {index % 3}", "hands": hands})
        answers.append(given)
        content = [
            {"is_right": a.is_right, "keypoints_2d": a.keypoints_2d.tolist(), "joints": a.joints.tolist()}
            for a in given
        ]
        (tmp_path / f"{index}.json").write_text(json.dumps({"hands": content}))
    (tmp_path / "photos.json").write_text(json.dumps(photos))
    expected = score_photos(shared).score(tmp_path, tmp_path)
    got: dict[str, Any] = {}
    for photo, given in zip(photos, answers, strict=True):
        counts = ablation.photo_hands.tally(photo["hands"], given)
        got.setdefault(photo["dataset"], ablation.photo_hands.Tally()).add(counts)
    assert set(got) == set(expected)
    assert sum(row["found"] for row in expected.values()) > 3
    for name, row in expected.items():
        mine = got[name]
        assert (mine.hands, mine.found, mine.unmatched) == (row["n"], row["found"], row["extra"])
        assert (mine.sides_right, mine.sides_known, mine.joints) == (row["side"], row["side_n"], row["joints"])
        np.testing.assert_array_equal(mine.hits, row["hits"])
        np.testing.assert_allclose(mine.errors, row["pa"], rtol=1e-9)  # two ways to the same rotation


def test_the_area_counts_distances_and_missed_hands(ablation: Any) -> None:
    """Joints off by a share of the hand's box: 0, .1 and .2 of 0.2 are areas of 1, .5 and 0; a missed hand has none."""
    points = np.zeros((21, 2))
    points[1:] = np.random.default_rng(0).uniform(0, 100, (20, 2))
    points[0], points[1] = 0.0, 100.0  # the box's side is 100 px
    hand = {"box": [0, 0, 100, 100], "is_right": None, "keypoints_2d": None, "keypoints_3d": None}
    hand["keypoints_2d"] = np.column_stack([points, np.ones(21)]).tolist()
    off = points.copy()
    off[7:14, 0] += 10.0
    off[14:, 0] += 25.0
    answer = ablation.ways.Answer(True, off, np.zeros((21, 3)), None)
    found, missed = (ablation.photo_hands.tally([hand], given) for given in ([answer], []))
    assert found.auc == pytest.approx(0.5, abs=0.01)  # the curve is a sum over 100 thresholds
    assert missed.auc == 0.0
    found.add(missed)
    assert found.auc == pytest.approx(0.25, abs=0.01)


class OneHand:
    """A detector that sees one hand in every picture, at given joints; in a given box, at the box's corner and nowhere else."""

    points: np.ndarray

    def __init__(self, *, bodies: bool) -> None:
        assert not bodies  # hands that only arms show have no joints

    def __call__(self, images: list[np.ndarray]) -> list[HandBoxes]:
        box = np.concatenate([self.points.min(0), self.points.max(0)])
        keypoints = np.column_stack([self.points, np.ones(21)])
        return [HandBoxes(box[None], np.ones(1, bool), np.ones(1), keypoints[None]) for _ in images]

    def landmarks_in_boxes(self, image: np.ndarray, boxes: np.ndarray, is_right: np.ndarray) -> HandBoxes:
        return HandBoxes(boxes, is_right, np.ones(1))


def test_small_copies_know_where_their_joints_are(
    ablation: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    OneHand.points = rng.uniform((200, 120), (420, 330), (21, 2))
    OneHand.points[0] = 300.25, 222.75
    rows, columns = np.mgrid[0:480, 0:640]
    spot = np.exp(-((columns - 300.25) ** 2 + (rows - 222.75) ** 2) / (2 * 14.0**2))
    cv2.imwrite(str(tmp_path / "spot.png"), np.repeat((220 * spot[..., None]).astype(np.uint8), 3, -1))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    monkeypatch.setattr(ablation.shrunk_hands, "MediapipeDetector", OneHand)
    found = ablation.shrunk_hands.hands_of(tmp_path)
    assert len(found) == 1
    hands = ablation.shrunk_hands.small_copies(found)
    assert [hand.sizes for hand in hands] == [sizes for sizes in ablation.shrunk_hands.SIZES for _ in range(2)]
    for hand in hands:
        assert 0.9 * hand.sizes[0] < hand.size < 1.1 * hand.sizes[1]
        light = np.clip(hand.picture.rgb.astype(float).mean(-1) - 60, 0, None)  # above noise
        y, x = np.mgrid[0 : light.shape[0], 0 : light.shape[1]]
        np.testing.assert_allclose([(light * c).sum() / light.sum() for c in (x, y)], hand.truth[0], atol=0.5)
    (whole,) = ablation.shrunk_hands.as_they_are(found)
    np.testing.assert_allclose(whole.truth, OneHand.points, rtol=1e-6)  # float32
    hands.append(whole)
    truths = {id(hand.picture): hand for hand in hands}

    def way(given: list[Any], _cameras: Any, _found: Any) -> tuple[list[Any], float]:
        shown = [truths[id(picture)] for picture in given]
        off = [hand.truth + np.array([0.07 * hand.size, 0]) for hand in shown]
        return [[ablation.ways.Answer(True, points, np.zeros((21, 3)), None)] for points in off], 0.0

    way.title = "seven hundredths off"  # type: ignore[attr-defined]
    lines = [line for line in ablation.shrunk_hands.table(hands, [way]) if line.startswith("| seven")]
    assert len(lines) == 3  # of two sizes, and as they are
    assert all(line.startswith("| seven hundredths off | 0.000 | 1.000 | 1.000 | 0.6") for line in lines)


def made_hand(ablation: Any) -> Any:
    """One of 100 px whose landmarks are 10 px too far right, and its 3D guess 1 cm."""
    rng = np.random.default_rng(1)
    points = np.concatenate([[[60.0, 60.0], [160.0, 160.0]], rng.uniform(60, 160, (19, 2))])
    joints = rng.normal(0, 0.05, (21, 3))
    seen = np.column_stack([points + np.array([10, 0]), np.ones(21)])[None]
    guess = joints + np.where(np.arange(21)[:, None] > 0, [0.01, 0, 0], 0)
    found = HandBoxes(np.array([[70.0, 60, 170, 160]]), [True], [1.0], seen, guess[None])
    picture = ablation.shrunk_hands.Picture(rng.integers(0, 255, (220, 220, 3), np.uint8))
    return ablation.made_hands.MadeHand(picture, found, True, joints, np.zeros((1, 3)), points)


def test_mended_landmarks_lie_between_what_was_seen_and_the_truth(ablation: Any) -> None:
    hand = made_hand(ablation)
    shares = []
    for changed in ablation.made_hands.mended([hand] * 50, 0.7):
        far = changed.found.keypoints_2d[0, :, :2] - hand.keypoints_2d
        shares.append(1 - far[:, 0] / 10)
        np.testing.assert_allclose(far[:, 1], 0, atol=1e-4)  # float32 px
        off = changed.found.keypoints_3d[0] - (hand.joints - hand.joints[0])
        np.testing.assert_allclose(off[1:, 0] / 0.01, far[0, 0] / 10, atol=1e-4)
    assert np.ptp(shares, axis=1).max() < 1e-5  # one share a hand
    assert 0 <= np.min(shares) < 0.1
    assert 0.6 < np.max(shares) <= 0.7


def test_small_hands_by_arms_reach_the_estimator_as_the_detector_gives_them(ablation: Any) -> None:
    """NaN points for those that get a second look, none for the others; sizes as asked for; a right answer counts fully."""
    hand, given = made_hand(ablation), []

    def estimator(pictures: Any, cameras: Any, found: Any) -> Any:
        given.extend(zip(pictures, found, strict=True))
        return [[] for _ in pictures]

    way = ablation.ways.Way("stub", estimator, takes_landmarks=False)
    lines = list(ablation.small_made_hands.table([hand], way))
    sizes = ablation.small_made_hands.SIZES
    assert [line.split("|")[1].strip() for line in lines[-3:]] == [k[0] for k in ablation.small_made_hands.KINDS]
    assert len(given) == 3 * len(sizes)
    assert all(found.keypoints_2d is None for _, found in given[: 2 * len(sizes)])
    assert all(np.isnan(found.keypoints_2d).all() for _, found in given[2 * len(sizes) :])
    assert [picture.width for picture, _ in given[: len(sizes)]] == [220, 141, 88, 62, 44, 31]
