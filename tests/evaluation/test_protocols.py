"""The parts of an evaluation: annotations, matching, predictions on disk, the table that several processes append to."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamer.configs import ConfigNode, dataset_eval_config
from hamer.datasets import ImageDataset
from hamer.evaluation import EvaluationResult
from hamer.evaluation.annotated_sets import AnnotationError, read_npz_set, read_photos
from hamer.evaluation.matching import DetectionSummary, match_boxes
from hamer.evaluation.picture_run import ROWS, annotated_boxes, pair, score
from hamer.evaluation.prediction_store import PredictionStore, fingerprint
from hamer.evaluation.protocols import ORIGINAL, protocol_of
from hamer.evaluation.published import published
from hamer.evaluation.regression_csv import COLUMNS, append_rows, default_exp_name, write_predictions

from .made_up import write_photos, write_set


def test_the_eleven_sets_are_those_of_the_configuration() -> None:
    assert list(ORIGINAL) == list(dataset_eval_config())
    assert protocol_of("HO3D-VAL").rescale_factor == -1
    assert protocol_of("EGO4D-TEST-OCC").pck_thresholds == (0.05, 0.1, 0.15)
    assert not protocol_of("MINE").writes_predictions


def test_published_figures_have_names_of_ours_and_a_source() -> None:
    known = set(EvaluationResult.blank(0).summary().as_dict()) | {"pck_0.05", "pck_0.1", "pck_0.15"}
    for entry in published():
        assert entry.set in ORIGINAL
        assert entry.source
        assert set(entry.figures) <= known
        for name, value in entry.figures.items():  # mm or shares, not percent or centimetres
            assert (2 < value < 30) if "mp" in name else (0.2 < value < 1), (entry, name)


class TestMatching:
    def test_best_overlaps_first_and_each_once(self) -> None:
        true = np.array([[0, 0, 10, 10], [8, 0, 18, 10]], float)
        found = np.array([[7, 0, 17, 10], [1, 0, 11, 10], [100, 0, 110, 10]], float)
        assert match_boxes(true, found) == {0: 1, 1: 0}

    def test_too_little_overlap_and_nothing_at_all(self) -> None:
        box = np.array([[0, 0, 10, 10]], float)
        assert match_boxes(box, box + np.array([6, 0, 6, 0])) == {}  # a quarter
        assert match_boxes(box, box + np.array([6, 0, 6, 0]), 0.2) == {0: 0}
        assert match_boxes(box, np.zeros((0, 4))) == {}
        assert match_boxes(np.full((1, 4), np.nan), box) == {}

    def test_shares(self) -> None:
        found = DetectionSummary(
            pictures=3, hands=4, found=3, predicted=5, false_positives=2, sides_known=2, sides_right=1
        )
        assert (found.recall, found.precision, found.side_accuracy) == (0.75, 0.6, 0.5)
        nothing = DetectionSummary(1, 0, 0, 0, 0, 0, 0)
        assert (nothing.recall, nothing.precision, nothing.side_accuracy) == (None, None, None)


class TestPictures:
    """Predictions of whole pictures against photos with two hands, one, and none."""

    @pytest.fixture
    def annotated(self, tmp_path: Path) -> Any:
        return read_photos(write_photos(tmp_path))

    def rows(self, annotated: Any, hands: list[int], shift: float = 0.0, extra: bool = False) -> dict[str, np.ndarray]:
        """The true hands of the given rows as predictions; every picture was looked at."""
        points = [annotated.keypoints_2d[i, :, :2] + shift for i in hands]
        pictures = [int(annotated.picture_of[i]) for i in hands]
        if extra:
            points.append(points[0] + 1000)
            pictures.append(2)
        numbers = [ROWS * p + pictures[:i].count(p) for i, p in enumerate(pictures)]
        empty = [ROWS * p for p in range(3) if p not in pictures]
        count, blank = len(points), len(empty)
        boxes = [*[annotated.boxes[i] for i in hands], *([np.array([0, 0, 1, 1])] if extra else [])]
        return {
            "idx": np.array(numbers + empty),
            "is_hand": np.array([True] * count + [False] * blank),
            "is_right": np.array([bool(annotated.is_right[i]) for i in hands] + [False] * (extra + blank)),
            "keypoints_2d": np.concatenate([points, np.full((blank, 21, 2), np.nan)]),
            "joints": np.concatenate([np.zeros((count, 21, 3)), np.full((blank, 21, 3), np.nan)]),
            "vertices": np.zeros((count + blank, 4, 3)),
            "score": np.full(count + blank, 0.5),
            "box": np.concatenate([boxes, np.zeros((blank, 4))]),
        }

    def test_a_missed_hand_a_false_one_and_their_pck(self, annotated: Any) -> None:
        rows = self.rows(annotated, [1, 2], extra=True)
        row_of, looked_at, found = pair(annotated, rows, "detector")
        assert row_of.tolist() == [-1, 0, 1]
        assert (found.hands, found.found, found.predicted, found.false_positives) == (3, 2, 3, 1)
        assert (found.sides_known, found.sides_right) == (2, 2)
        result = score(annotated, rows, row_of, looked_at)
        assert result.ids.tolist() == ["photo0.png#0", "photo0.png#1", "photo1.png#0"]
        assert result.found.tolist() == [False, True, True]
        assert result.summary().pck[0.05] == pytest.approx(2 / 3)  # of three hands one is missed, the others exact

    def test_the_wrong_side_is_found_and_counts(self, annotated: Any) -> None:
        rows = self.rows(annotated, [0, 1, 2])
        rows["is_right"][0] = not rows["is_right"][0]
        found = pair(annotated, rows, "detector")[2]
        assert (found.found, found.sides_right, found.side_accuracy) == (3, 2, 2 / 3)

    def test_given_boxes_are_matched_by_the_box_wherever_the_joints_lie(self, annotated: Any) -> None:
        rows = self.rows(annotated, [0, 1, 2], shift=500.0)
        assert pair(annotated, rows, "boxes")[0].tolist() == [0, 1, 2]
        assert pair(annotated, rows, "detector")[0].tolist() == [-1, -1, -1]

    def test_a_box_without_area_costs_its_hand_alone(self, annotated: Any, caplog: pytest.LogCaptureFixture) -> None:
        annotated.boxes[1, 2] = annotated.boxes[1, 0]
        given = annotated_boxes(annotated, landmarks=False)
        assert [len(given.of(path)) for path in annotated.pictures] == [1, 1, 0]
        assert f"boxes of 1 hands have no area (the first: {annotated.ids[1]})" in caplog.text
        _, _, found = pair(annotated, self.rows(annotated, [0, 2]), "boxes")
        assert (found.found, found.hands) == (2, 3)

    def test_pictures_that_were_not_looked_at_do_not_count(self, annotated: Any) -> None:
        rows = {name: values[:1] for name, values in self.rows(annotated, [0, 1, 2]).items()}
        row_of, looked_at, found = pair(annotated, rows, "detector")
        assert looked_at.tolist() == [True, True, False]
        assert (found.pictures, found.hands) == (1, 2)
        assert len(score(annotated, rows, row_of, looked_at)) == 2

    def test_cut_down(self, annotated: Any) -> None:
        first = annotated.first(1)
        assert (len(first), len(first.pictures), len(first.cameras)) == (2, 1, 1)
        assert annotated.cameras[1].fx == 400


class TestAnnotations:
    def test_npz_with_what_the_converter_adds(self, tmp_path: Path) -> None:
        file = write_set(tmp_path, "FREIHAND-VAL")
        cfg = ConfigNode({"MODEL": {"IMAGE_SIZE": 256, "BBOX_SHAPE": [192, 256]}, "DATASETS": {}})
        dataset = ImageDataset(cfg, file, tmp_path, train=False)
        annotated = read_npz_set("FREIHAND-VAL", dataset, file)
        arrays = np.load(file)
        assert annotated.ids.tolist()[:3] == ["00000000.jpg#0", "00000000.jpg#1", "00000001.jpg#0"]
        assert annotated.picture_of.tolist() == [0, 0, 1, 1, 2]
        np.testing.assert_allclose(annotated.boxes[:, 2:] - annotated.boxes[:, :2], arrays["scale"])
        np.testing.assert_allclose(annotated.box_size, arrays["scale"].max(1))
        assert annotated.vertices is not None
        assert annotated.vertices.shape[0] == 5

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda photos: {}, "must be a json list"),
            (lambda photos: [3], 'must be an object with "file"'),
            (lambda photos: [{"file": "a.png"}], "there is none"),
            (lambda photos: [{"file": "a.png", "hands": [{"box": None}]}], "must have a box"),
            (lambda photos: [{"file": "a.png", "hands": [{"box": [5, 5, 1, 1]}]}], "x1 > x0"),
            (lambda photos: [{"file": "a.png", "hands": [{"box": [1, 1, "a", 5]}]}], "must be numbers"),
            (lambda photos: [{"file": "a.png", "hands": [{"box": [1, 1, 5, 10**400]}]}], "must be numbers"),
            (lambda photos: [{"file": "a.png", "hands": [{"box": [1, 1, 5, 5], "is_right": 2}]}], "is_right must be"),
            (lambda photos: [{"file": "a.png", "hands": [{"keypoints_2d": [[1, 2]]}]}], r"shape \(21, 3\)"),
            (lambda photos: [photos[0], photos[0]], "photo0.png is listed twice"),
            (lambda photos: [{**photos[0], "intrinsics": {"focal": 3}}], "intrinsics must be"),
        ],
    )
    def test_wrong_lists_say_where_and_what(self, tmp_path: Path, change: Any, message: str) -> None:
        path = write_photos(tmp_path)
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
        with pytest.raises(AnnotationError, match=message):
            read_photos(path)

    def test_a_hand_with_few_visible_joints_is_matched_by_its_box(self, tmp_path: Path) -> None:
        path = write_photos(tmp_path)
        photos = json.loads(path.read_text())
        hand = photos[1]["hands"][0]
        for point in hand["keypoints_2d"][3:]:
            point[2] = 0
        path.write_text(json.dumps(photos))
        annotated = read_photos(path)
        np.testing.assert_allclose(annotated.match_boxes[2], hand["box"])  # not the corner where three joints are
        np.testing.assert_allclose(annotated.match_boxes[0], annotated.boxes[0])
        around_three = np.ptp(np.array(hand["keypoints_2d"])[:3, :2], axis=0).max()
        assert annotated.box_size[2] == pytest.approx(around_three)

    def test_the_photos_of_the_project_can_be_read(self, photos: Path) -> None:
        annotated = read_photos(photos / "photos.json")
        assert len(annotated) == 27
        assert annotated.name == "photos"
        assert not annotated.side_known.all()


class TestStore:
    def test_goes_on_where_it_was(self, tmp_path: Path) -> None:
        store = PredictionStore(tmp_path / "a", every=0)
        store.add({"idx": np.array([4, 2]), "x": np.array([40.0, 20.0])})
        store.add({"idx": np.array([3]), "x": np.array([30.0])})
        again = PredictionStore(tmp_path / "a")
        assert again.done() == {2, 3, 4}
        again.add({"idx": np.array([1]), "x": np.array([10.0])})
        again.flush()
        rows = PredictionStore(tmp_path / "a").rows()
        assert rows["idx"].tolist() == [1, 2, 3, 4]
        assert rows["x"].tolist() == [10, 20, 30, 40]

    def test_a_damaged_part_is_done_again(self, tmp_path: Path) -> None:
        store = PredictionStore(tmp_path, every=0)
        store.add({"idx": np.array([0])})
        store.add({"idx": np.array([1])})
        part = tmp_path / "part_000001.npz"
        part.write_bytes(part.read_bytes()[:40])
        again = PredictionStore(tmp_path, every=0)
        assert again.done() == {0}
        again.add({"idx": np.array([1])})
        assert PredictionStore(tmp_path).done() == {0, 1}

    def test_fingerprint(self) -> None:
        assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
        assert fingerprint({"a": 1}) != fingerprint({"a": 2})


APPEND = """
import sys
from hamer.evaluation.regression_csv import append_rows
for i in range(40):
    append_rows(sys.argv[1], {f"m{i}_{j}": i / 7 for j in range(10)}, checkpoint="a/b/c.ckpt", dataset=sys.argv[2])
"""


class TestTable:
    def test_two_processes_lose_no_row(self, tmp_path: Path) -> None:
        both = [subprocess.Popen([sys.executable, "-c", APPEND, str(tmp_path), name]) for name in ("ONE", "TWO")]
        assert [p.wait(timeout=120) for p in both] == [0, 0]
        with (tmp_path / "eval_regression.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        assert tuple(rows[0]) == COLUMNS
        assert {len(row) for row in rows} == {8}
        for name in ("ONE", "TWO"):
            mine = [row for row in rows if row[3] == name]
            assert len(mine) == 400
            assert mine[-1][4:6] == ["m39_9", repr(39 / 7)]
            assert len({row[0] for row in mine}) == 40  # the ten rows of a call have one time

    def test_an_error_without_figures_is_told(self, tmp_path: Path) -> None:
        append_rows(tmp_path, {}, checkpoint="c.ckpt", dataset="X", error="OSError('a, \"b\"\\nc')")
        append_rows(tmp_path, {}, checkpoint="c.ckpt", dataset="Y")
        with (tmp_path / "eval_regression.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(r["dataset"], r["metric_name"], r["error"]) for r in rows] == [("X", "", "OSError('a, \"b\"\\nc')")]

    @pytest.mark.parametrize(
        ("checkpoint", "name"),
        [("ckpts/checkpoints/model.ckpt", "ckpts"), ("/a/run1/checkpoints/last.ckpt", "run1"), ("model.ckpt", "model")],
    )
    def test_names_of_runs(self, checkpoint: str, name: str) -> None:
        assert default_exp_name(checkpoint) == name

    def test_predictions_are_lists_of_lists(self, tmp_path: Path) -> None:
        joints = np.arange(126, dtype=np.float32).reshape(2, 21, 3) / 3
        path = write_predictions(tmp_path, "FREIHAND-VAL", joints, np.zeros((2, 778, 3)))
        assert path.name == "freihand-val.json"
        content = json.loads(path.read_text())
        assert (len(content), len(content[0]), len(content[1][1]), len(content[1][1][777])) == (2, 2, 778, 3)
        np.testing.assert_array_equal(np.array(content[0], np.float32), joints)
