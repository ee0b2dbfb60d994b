"""`hamer eval` as a user types it: several sets, photos, two modes, errors, interruptions, comparisons."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from hamer.checkpoints.hand_files import read_mano
from hamer.cli import main
from hamer.evaluation import EvaluationResult, network_run, picture_run, suite
from hamer.evaluation.picture_run import ROWS
from hamer.evaluation.prediction_store import PredictionStore

from ..evaluation.made_up import CHECKPOINT, SETS, hand_points, write_checkpoint, write_photos, write_world

FLAGS = ("--num_workers", "0", "--batch_size", "2", "--threads", "1", "--device", "cpu")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a checkpoint and three sets."""
    monkeypatch.chdir(tmp_path)
    write_world(tmp_path)
    return tmp_path


def evaluate(*arguments: object, checkpoint: object = CHECKPOINT) -> int:
    given = [] if checkpoint is None else ["--checkpoint", str(checkpoint)]
    return main(["eval", *given, *FLAGS, *map(str, arguments)])


def table() -> list[dict[str, str]]:
    with Path("results/eval_regression.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def runs() -> dict[str, dict[str, Any]]:
    return {r["name"]: r for r in json.loads(Path("results/evaluation.json").read_text())["runs"]}


def test_sets_that_are_here_are_the_default(world: Path, capsys: pytest.CaptureFixture) -> None:
    assert evaluate() == 0
    assert set(runs()) == set(SETS)
    out = capsys.readouterr().out
    assert "FREIHAND-VAL: 5 hands" in out
    assert "pa_mpvpe" in out  # the set knows its vertices, and the network has the same hand
    assert "hamer score freihand" in out
    summary = runs()["FREIHAND-VAL"]["summary"]
    assert summary["hands_mesh"] == 5
    assert 0 < summary["pa_mpvpe"] < 60
    saved = EvaluationResult.load(world / "results" / runs()["FREIHAND-VAL"]["files"]["a row a hand"])
    assert saved.summary().pa_mpvpe == pytest.approx(summary["pa_mpvpe"])
    assert {r["metric_name"] for r in table() if r["dataset"] == "FREIHAND-VAL"} >= {"pa_mpjpe", "f_5", "pa_mpvpe"}


def test_the_error_of_one_set_does_not_lose_the_others(world: Path, capsys: pytest.CaptureFixture) -> None:
    Path(f"hamer_evaluation_data/{SETS['FREIHAND-VAL'][0]}").write_bytes(b"no archive")
    assert evaluate("--dataset", "FREIHAND-VAL,EPICK-TEST-ALL,NEWDAYS-TEST-ALL") == 1
    told = capsys.readouterr().err
    assert "FREIHAND-VAL: " in told
    assert "must be an .npz file" in told
    assert "hamer fetch hamer_evaluation_data" in told
    assert "2 of 3 sets had errors" in told
    assert {r["error"] for r in table() if r["dataset"] == "NEWDAYS-TEST-ALL"} == {""}
    assert "hamer fetch" in Path("results/report.html").read_text()


def test_pictures_that_cannot_be_read_are_named_and_the_rest_is_scored(world: Path) -> None:
    Path(SETS["FREIHAND-VAL"][1], "00000001.jpg").write_bytes(b"broken")
    assert evaluate("--dataset", "FREIHAND-VAL") == 1
    run = runs()["FREIHAND-VAL"]
    assert run["summary"]["hands"] == 3
    assert run["error"].startswith("2 of 5 could not be used; the first: 00000001.jpg")
    assert not Path("results/freihand-val.json").exists()  # the public program wants all
    assert "was not written" in run["notes"][0]


def test_missing_pictures_say_what_to_do(world: Path, capsys: pytest.CaptureFixture) -> None:
    Path("HO3D_v2/evaluation").rename("elsewhere")
    assert evaluate("--dataset", "HO3D-VAL") == 1
    assert "no folder of pictures at HO3D_v2/evaluation" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "FREIHAND-VAL,NOWHERE"], "got NOWHERE"),
        (["--batch_size", "0"], "at least 1"),
        (["--min_iou", "0"], "above 0"),
        (["--photos", "absent.json"], "no file absent.json"),
        (["--compare", "a.npz", "b.ckpt"], "two saved results"),
        (["--compare", "a.npz", "b.npz"], "there is no file a.npz"),
        (["--num_workers", "-1"], "0 or more"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate(*arguments, checkpoint=None) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("entry", ["3", "{TYPE: ImageDataset, IMG_DIR: here}"])
def test_a_list_that_names_no_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, entry: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sets.yaml").write_text(f"MINE: {entry}\n")
    assert evaluate("--datasets_file", "sets.yaml", checkpoint="none") == 1
    assert "sets.yaml: MINE must have DATASET_FILE" in capsys.readouterr().err


def test_nothing_to_evaluate_says_how_to_get_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate(checkpoint="none") == 2
    assert "hamer fetch hamer_evaluation_data" in capsys.readouterr().err
    assert evaluate("--dataset", "HO3D-VAL", checkpoint="absent.ckpt") == 1
    assert "absent.ckpt" in capsys.readouterr().err


class TestInterrupted:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Hands of each forward pass; the third one of the first run is interrupted by the user."""
        counted: list[int] = []
        forward = network_run._forward

        def counting(network: Any, batch: Any) -> Any:
            counted.append(len(batch["idx"]))
            if len(counted) == 3:
                raise KeyboardInterrupt
            return forward(network, batch)

        monkeypatch.setattr(network_run, "_forward", counting)
        return counted

    def test_goes_on_within_the_set(self, world: Path, calls: list[int], capsys: pytest.CaptureFixture) -> None:
        names = "HO3D-VAL,NEWDAYS-TEST-ALL"
        assert evaluate("--dataset", names) == 130
        assert "run the same command again" in capsys.readouterr().err
        assert calls == [2, 2, 2]
        assert Path("results/ho3d-val.json").is_file()  # the set before was finished and written
        calls[:] = [0, 0, 0]
        assert evaluate("--dataset", names) == 0
        assert sum(calls) == 7  # all of the second set, nothing of the first
        calls[:] = [0, 0, 0]
        assert evaluate("--dataset", names) == 0
        assert sum(calls) == 0
        whole = runs()["NEWDAYS-TEST-ALL"]["figures"]
        assert evaluate("--dataset", "NEWDAYS-TEST-ALL", "--overwrite") == 0
        assert sum(calls) == 7
        assert runs()["NEWDAYS-TEST-ALL"]["figures"] == pytest.approx(whole, rel=1e-5)  # batches were others

    def test_another_checkpoint_starts_anew(self, world: Path, calls: list[int]) -> None:
        calls.extend([0, 0, 0])
        assert evaluate("--dataset", "HO3D-VAL") == 0
        other = write_checkpoint(world, seed=0, name=Path("other/checkpoints/b.ckpt"))
        assert evaluate("--dataset", "HO3D-VAL", checkpoint=other) == 0
        assert sum(calls) == 8
        assert {r["exp_name"] for r in table()} == {"try", "other"}


def test_a_finished_set_can_be_shuffled_again(world: Path) -> None:
    assert evaluate("--dataset", "FREIHAND-VAL", "--shuffle") == 0
    assert evaluate("--dataset", "FREIHAND-VAL", "--shuffle") == 0  # nothing is left to predict
    assert runs()["FREIHAND-VAL"]["summary"]["hands"] == 5


def test_only_some_hands(world: Path) -> None:
    assert evaluate("--dataset", "FREIHAND-VAL", "--max_hands", 3) == 0
    assert runs()["FREIHAND-VAL"]["summary"]["hands"] == 3
    assert evaluate("--dataset", "FREIHAND-VAL") == 0
    assert runs()["FREIHAND-VAL"]["summary"]["hands"] == 5


class TestPhotos:
    def test_a_network_on_annotated_photos(self, world: Path) -> None:
        photos = write_photos(world)
        assert evaluate("--photos", photos) == 0
        run = runs()["mine"]
        assert (run["summary"]["hands"], run["summary"]["hands_3d"], run["summary"]["missed"]) == (3, 1, 0)
        assert run["detection"] is None
        assert list(run["by_source"]) == ["source0", "source1"]
        assert run["latency"]["what"] == "pipeline"
        assert "data:image/jpeg;base64" in Path("results/report.html").read_text()

    def test_a_broken_photo_is_named(self, world: Path) -> None:
        photos = write_photos(world)
        (world / "photo1.png").write_bytes(b"broken")
        assert evaluate("--photos", photos) == 1
        assert runs()["mine"]["summary"]["hands"] == 2
        assert "photo1.png" in runs()["mine"]["error"]

    @pytest.mark.parametrize("change", [{"is_right": 0}, {"intrinsics": {"focal": [900, 900], "princpt": [160, 120]}}])
    def test_annotations_that_change_predictions_start_anew(self, world: Path, change: dict[str, Any]) -> None:
        photos = write_photos(world)
        assert evaluate("--photos", photos) == 0
        content = json.loads(photos.read_text())
        content[1].update({k: v for k, v in change.items() if k == "intrinsics"})
        content[1]["hands"][0].update({k: v for k, v in change.items() if k == "is_right"})
        photos.write_text(json.dumps(content))
        assert evaluate("--photos", photos) == 0
        assert len(list(Path("results/predictions").iterdir())) == 2

    def test_own_lists_of_sets(self, world: Path) -> None:
        entry = f"DATASET_FILE: hamer_evaluation_data/{SETS['FREIHAND-VAL'][0]}\n  IMG_DIR: {SETS['FREIHAND-VAL'][1]}"
        Path("mine.yaml").write_text(f"MINE:\n  TYPE: ImageDataset\n  {entry}\n  KEYPOINT_LIST: [0]\n")
        assert evaluate("--datasets_file", "mine.yaml") == 0
        assert {r["dataset"] for r in table()} == {"MINE"}
        assert {"pck_0.05", "pa_mpjpe", "f_15"} <= {r["metric_name"] for r in table()}

    def test_detector_mode(self, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A detector that knows the second hand of every picture, and sees one that is not there."""
        from hamer.structures import HandBoxes

        photos = write_photos(world)
        hands = json.loads(photos.read_text())[0]["hands"]

        def detector(images: list[np.ndarray]) -> list[HandBoxes]:
            boxes = [hands[1]["box"], [0, 0, 12, 12]]
            return [HandBoxes(np.array(boxes), np.array([True, False]), np.array([0.9, 0.4])) for _ in images]

        monkeypatch.setattr("hamer.detectors.load_hands", lambda name, **options: detector)
        assert evaluate("--photos", photos, "--mode", "detector", "--min_iou", 0.01) == 0
        found = runs()["mine"]["detection"]
        assert (found["pictures"], found["hands"], found["predicted"]) == (3, 3, 6)
        assert 1 <= found["found"] < 3
        assert found["false_positives"] == 6 - found["found"]
        names = {r["metric_name"] for r in table()}
        assert {"detector_recall", "detector_precision", "detector_side_accuracy", "detector_pck_0.1"} <= names
        assert runs()["mine"]["summary"]["missed"] == 3 - found["found"]


class TestCompare:
    def test_two_checkpoints(self, world: Path, capsys: pytest.CaptureFixture) -> None:
        other = write_checkpoint(world, seed=0, name=Path("other/checkpoints/b.ckpt"))
        assert evaluate("--dataset", "FREIHAND-VAL", "--compare", CHECKPOINT, other, checkpoint=None) == 0
        assert "FREIHAND-VAL: try (first) and other (second)" in capsys.readouterr().out
        (found,) = json.loads(Path("results/comparison.json").read_text()).values()
        by_name = {d["metric"]: d for d in found}
        assert by_name["pa_mpjpe"]["hands"] == 5
        assert by_name["pa_mpjpe"]["low"] <= by_name["pa_mpjpe"]["difference"] <= by_name["pa_mpjpe"]["high"]
        page = Path("results/report.html").read_text()
        assert "95 % interval" in page
        assert page.count("data:image/jpeg") > 4  # both are shown

    def test_two_saved_results(self, world: Path, capsys: pytest.CaptureFixture) -> None:
        assert evaluate("--dataset", "FREIHAND-VAL") == 0
        (saved,) = Path("results/hands").iterdir()
        capsys.readouterr()
        assert evaluate("--compare", saved, saved, "--results_folder", "both", checkpoint=None) == 0
        out = capsys.readouterr().out
        assert "no difference shown" in out
        assert "is better" not in out
        assert Path("both/report.html").is_file()


def test_hands_of_cases_stand_where_the_network_saw_them(world: Path) -> None:
    """Joints in the camera frame, left ones too, project to where the crop's keypoints lie in the picture."""
    from hamer.evaluation import EvaluationBatch

    assert evaluate("--dataset", "NEWDAYS-TEST-ALL") == 0
    (folder,) = Path("results/predictions").iterdir()
    rows = PredictionStore(folder).rows()
    expected = EvaluationBatch.from_network(rows, rows).keypoints_2d
    assert expected is not None
    assert 0 < (rows["right"] > 0.5).sum() < len(expected)  # both sides
    for row, points in enumerate(expected):
        joints, focal = network_run.in_camera_frame(rows, row, "pred_keypoints_3d")
        pixels = focal * joints[:, :2] / joints[:, 2:] + rows["img_size"][row] / 2
        # hundreds of metres away perspective is nearly that of the crop: below a hundredth of the crop
        assert np.abs(pixels - points).max() < 0.01 * rows["box_size"][row]


def test_from_a_release_to_the_public_programs_figures(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Converted, evaluated, and its json scored: `hamer eval` and `hamer score` give the same figures."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    joints, vertices = hand_points(rng, 4)
    vertices = vertices[:, rng.permutation(vertices.shape[1])[:778]]
    Path("release/evaluation/rgb").mkdir(parents=True)
    for i in range(4):
        cv2.imwrite(f"release/evaluation/rgb/{i:08d}.jpg", rng.integers(0, 255, (224, 224, 3), np.uint8))
    camera = [[480.0, 0, 112], [0, 480, 112], [0, 0, 1]]
    fits = [[[0.0] * 61]] * 4
    for name, content in (("K", [camera] * 4), ("xyz", joints.tolist()), ("verts", vertices.tolist()), ("mano", fits)):
        Path(f"release/evaluation_{name}.json").write_text(json.dumps(content))
    assert main(["data", "convert", "freihand", "release", "converted", "--allow_incomplete"]) == 0
    write_checkpoint(tmp_path, hand=read_mano(golden / "hamer" / "mano"))
    assert evaluate("--datasets_file", "converted/datasets_eval.yaml", "--dataset", "FREIHAND-VAL") == 0
    capsys.readouterr()
    assert main(["score", "freihand", "results/freihand-val.json", "release", "--json", "--threads", "1"]) == 0
    scores, summary = json.loads(capsys.readouterr().out), runs()["FREIHAND-VAL"]["summary"]
    assert summary["hands_3d"] == summary["hands_mesh"] == 4
    for official, ours, factor in (
        ("xyz_al_mean3d", "pa_mpjpe_reflecting", 10), ("mesh_al_mean3d", "pa_mpvpe_reflecting", 10),
        ("xyz_al_auc3d", "auc_pa_reflecting", 1), ("mesh_al_auc3d", "auc_mesh_pa_reflecting", 1),
        ("f_al_score_5", "f_5_reflecting", 1), ("f_al_score_15", "f_15_reflecting", 1),
    ):  # fmt: skip
        assert factor * scores[official] == pytest.approx(summary[ours], rel=1e-5), official  # float32 in the npz
    assert summary["pa_mpvpe_reflecting"] > 1


def score_photos(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_photos", shared / "tools" / "score_photos.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("landmark_models")
def test_the_built_in_way_on_real_photos_agrees_with_an_independent_program(
    shared: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the built-in way found, scored here and by the project's own small program, which shares no code."""
    monkeypatch.chdir(tmp_path)
    wanted = ("00111.png", "11111.png", "9.jpg")
    chosen = [p for p in json.loads((photos / "photos.json").read_text()) if p["file"] in wanted]
    for file in wanted:
        Path(file).write_bytes((photos / file).read_bytes())
    Path("photos.json").write_text(json.dumps(chosen))
    assert evaluate("--photos", "photos.json", "--mode", "detector", "--effort", "fast", checkpoint="none") == 0
    (folder,) = Path("results/predictions").iterdir()
    rows = PredictionStore(folder).rows()
    for index, photo in enumerate(chosen):
        mine = np.flatnonzero((rows["idx"] // ROWS == index) & rows["is_hand"])
        hands = [{name: rows[name][i].tolist() for name in ("keypoints_2d", "joints", "is_right")} for i in mine]
        Path(f"{Path(photo['file']).stem}.json").write_text(json.dumps({"hands": hands}))
    expected = score_photos(shared).score(Path(), Path())
    got = next(iter(runs().values()))["by_source"]
    assert set(got) == set(expected)
    assert sum(row["found"] for row in expected.values()) >= 3
    for name, row in expected.items():
        detection = got[name]["detection"]
        assert (detection["found"], detection["hands"], detection["false_positives"]) == (
            row["found"],
            row["n"],
            row["extra"],
        )
        assert (detection["sides_right"], detection["sides_known"]) == (row["side"], row["side_n"])
        if row["joints"]:
            np.testing.assert_allclose(list(got[name]["pck_pooled"].values()), row["hits"] / row["joints"], atol=1e-9)
        if row["pa"]:
            assert got[name]["pa_mpjpe"] == pytest.approx(np.mean(row["pa"]), rel=1e-5)  # float32 joints


def test_modes_share_their_numbers(world: Path) -> None:
    """A set scored by hand crops and by whole pictures with the same boxes: the same hands, nearly the same joints."""
    assert evaluate("--dataset", "FREIHAND-VAL") == 0
    by_crops = EvaluationResult.load(Path("results") / runs()["FREIHAND-VAL"]["files"]["a row a hand"])
    options = suite.SuiteOptions(
        checkpoint=CHECKPOINT, results_folder=Path("pictures"), device="cpu", threads=1, rescale_factor=1.0
    )
    evaluation = suite.EvaluationSuite(options)
    entry = evaluation.sets["FREIHAND-VAL"]
    annotated = suite.read_npz_set("FREIHAND-VAL", evaluation._dataset("FREIHAND-VAL", entry), entry["DATASET_FILE"])
    store = PredictionStore(Path("pictures/store"))
    picture_run.reconstruct(evaluation._reconstructor(annotated), annotated, store)
    row_of, looked_at, found = picture_run.pair(annotated, store.rows(), "boxes")
    result = picture_run.score(annotated, store.rows(), row_of, looked_at)
    assert found.found == found.hands == 5
    assert result.ids.tolist() == by_crops.ids.tolist()
    assert result.is_right.tolist() == by_crops.is_right.tolist()
    # the aligned shape of the network's hand, whose crops differ by how they are blurred and rounded
    np.testing.assert_allclose(result.joint_error_proper, by_crops.joint_error_proper, atol=1.0)
