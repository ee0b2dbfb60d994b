"""`hamer score`: official names and figures, and clear words about files that are not what they should be."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hamer.cli import main
from hamer.evaluation.fingertips import HO3D_ORDER


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "metrics" / "points.npz"))


@pytest.fixture
def truth(arrays, tmp_path: Path) -> Path:
    folder = tmp_path / "released"
    folder.mkdir()
    write(folder / "evaluation_xyz.json", arrays["gt_joints"].tolist())
    write(folder / "evaluation_verts.json", arrays["gt_vertices"].tolist())
    return folder


@pytest.fixture
def prediction(arrays, tmp_path: Path) -> Path:
    return write(tmp_path / "pred.json", [arrays["pred_joints"].tolist(), arrays["pred_vertices"].tolist()])


@pytest.mark.parametrize("dataset", ["freihand", "ho3d"])
def test_golden_figures(dataset, golden, prediction, truth, tmp_path, capsys) -> None:
    expected = json.loads((golden / "metrics" / "scores.json").read_text())[dataset]
    assert main(["score", dataset, str(prediction), str(truth), "--json", "--out", str(tmp_path / "s.json")]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found == json.loads((tmp_path / "s.json").read_text())
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-5)  # what two programs agree to
    assert "10% of the predicted hands are mirror images" in captured.err


def test_text_and_archive(prediction, truth, tmp_path, capsys) -> None:
    archive = tmp_path / "pred.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(prediction, "submission/pred.json")
    assert main(["score", "freihand", str(archive), str(truth), "--out", str(tmp_path / "scores.txt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "xyz_al_mean3d: 1.216943"
    assert (tmp_path / "scores.txt").read_text().splitlines() == lines


def test_joints_alone(arrays, truth, tmp_path, capsys) -> None:
    (truth / "evaluation_verts.json").unlink()
    for content in ([arrays["pred_joints"].tolist()], [arrays["pred_joints"].tolist(), []]):
        assert main(["score", "ho3d", str(write(tmp_path / "p.json", content)), str(truth), "--json"]) == 0
        captured = capsys.readouterr()
        assert set(json.loads(captured.out)) == {
            f"xyz{way}_{kind}" for way in ("", "_procrustes_al", "_scale_trans_al") for kind in ("mean3d", "auc3d")
        }
        assert "scores of the joints alone" in captured.err


def test_conversions_are_suggested_and_done(arrays, truth, tmp_path, capsys) -> None:
    """The truth itself, in our order and frame, scored against HO-3D's."""
    released = arrays["gt_joints"][:, list(HO3D_ORDER)] * [1, -1, -1]
    write(truth / "evaluation_xyz.json", released.tolist())
    write(truth / "evaluation_verts.json", (arrays["gt_vertices"] * [1, -1, -1]).tolist())
    ours = write(tmp_path / "p.json", [arrays["gt_joints"].tolist(), arrays["gt_vertices"].tolist()])
    assert main(["score", "ho3d", str(ours), str(truth)]) == 0
    assert "--joints openpose" in capsys.readouterr().err
    assert main(["score", "ho3d", str(ours), str(truth), "--joints", "openpose"]) == 0
    assert "--frame flipped" in capsys.readouterr().err
    flags = ["--joints", "openpose", "--frame", "flipped", "--json"]
    assert main(["score", "ho3d", str(ours), str(truth), *flags]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    scores = json.loads(captured.out)
    assert scores["xyz_mean3d"] < 1e-12
    assert scores["f_score_5"] == 1
    assert main(["score", "ho3d", str(ours), str(truth), "--fingertips", "freihand", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["xyz_mean3d"] > 0  # these tips are not those of the made-up truth


def test_back_to_the_order_of_freihand(arrays, truth, tmp_path, capsys) -> None:
    ours = write(tmp_path / "p.json", [arrays["gt_joints"][:, list(HO3D_ORDER)].tolist()])
    assert main(["score", "freihand", str(ours), str(truth)]) == 0
    assert "--joints ho3d mends that" in capsys.readouterr().err
    assert main(["score", "freihand", str(ours), str(truth), "--joints", "ho3d", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["xyz_mean3d"] == 0


def test_millimetres_are_suspected(arrays, truth, tmp_path, capsys) -> None:
    path = write(tmp_path / "p.json", [(1000 * arrays["gt_joints"]).tolist()])
    assert main(["score", "freihand", str(path), str(truth)]) == 0
    assert "1e+03 times as large as the true ones; points must be in metres" in capsys.readouterr().err


def nested(n_hands: int, n_points: int = 21, value: float = 0.1) -> list:
    return [[[value * (j + 1), value, 1.0] for j in range(n_points)] for _ in range(n_hands)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps([nested(9)]), "expected 10 hands as in .*, got 9"),
        (json.dumps([nested(10), nested(10, 500)]), "expected 778 vertices a hand as in .*, got 500"),
        (json.dumps([nested(10), nested(9, 778)]), "expected as many hands in both lists, got 10 with joints, 9 with"),
        (json.dumps([nested(10, 20)]), "expected 21 points for every hand, got 20 for hand 0"),
        (json.dumps([nested(3, 21) + nested(7, 22)]), "expected 21 points for every hand, got 22 for hand 3"),
        (
            json.dumps([nested(10)]).replace("1.0]", "NaN]", 1),
            "list 0, hand 0: expected finite numbers, got 1 that are",
        ),
        (json.dumps([nested(10)]).replace("1.0]", '"1"x]', 1), "expecting ',' delimiter at character"),
        (json.dumps([nested(10)]).replace("1.0]", '"one"]', 1), "hand 0: expected points .* no numbers"),
        (json.dumps([nested(10)]).replace(", 1.0]", "]", 1), "hand 0: expected points .* of unequal length"),
        (json.dumps(nested(10)), r"expected \[joints, vertices\], got a list of hands"),
        (json.dumps([nested(10)] * 3), r"expected \[joints, vertices\], got a list of 3 entries"),
        (json.dumps([nested(10)])[:-900], "the file seems to be cut off"),
        (json.dumps([nested(10)]) + "]", "expected the file's end, got ']'"),
        ("[[[[1" + "0" * 400 + ", 0, 0]]], []]", "hand 0: expected finite numbers, got one that is too large"),
        ("", "expected a list at character 0, the file ends there"),
        ("{}", "expected a list at character 0, got '{'"),
        ("[]", r"got a list of 0 entries"),
        ("[[]]", "joints: expected at least one hand, got an empty list"),
        ("[[" + "[" * 100_000, "too deep|cut off"),
    ],
)
def test_bad_predictions(content: str, message: str, truth, tmp_path, capsys) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert main(["score", "freihand", str(path), str(truth)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("hamer: ")
    assert "bad.json" in error
    assert re.search(message, error), error


def test_files_that_are_missing_or_no_json(prediction, truth, tmp_path, capsys) -> None:
    assert main(["score", "freihand", str(tmp_path / "none.json"), str(truth)]) == 1
    assert "none.json: there is no such file" in capsys.readouterr().err
    assert main(["score", "freihand", str(prediction), str(tmp_path / "nowhere")]) == 1
    assert "nowhere: there is no such folder" in capsys.readouterr().err
    (truth / "evaluation_verts.json").unlink()
    assert main(["score", "freihand", str(prediction), str(truth)]) == 1
    assert "evaluation_verts.json is missing" in capsys.readouterr().err
    binary = tmp_path / "binary.json"
    binary.write_bytes(bytes(range(256)))
    assert main(["score", "freihand", str(binary), str(truth)]) == 1
    assert "expected json or a zip archive" in capsys.readouterr().err
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as file:
        file.writestr("other.json", "[]")
    assert main(["score", "freihand", str(empty), str(truth)]) == 1
    assert "expected one pred.json in the archive, found 0 among 1" in capsys.readouterr().err


def test_archives_that_cannot_be_opened_and_folders(prediction, truth, tmp_path, capsys) -> None:
    assert main(["score", "freihand", str(tmp_path), str(truth)]) == 1
    assert "expected a file, json or a zip archive" in capsys.readouterr().err
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(prediction, "pred.json")
    content = whole.read_bytes()
    damaged, locked, strange = (tmp_path / f"{name}.zip" for name in ("damaged", "locked", "strange"))
    damaged.write_bytes(content[:60] + b"\xff" * 40 + content[100:])
    directory = content.index(b"PK\x01\x02")
    for path, at, value in ((locked, 6, 1), (strange, 8, 97)):  # the flag of a password; the number of the method
        changed = bytearray(content)
        changed[at] = changed[directory + at + 2] = value
        path.write_bytes(changed)
    for path, message in ((damaged, "is damaged"), (locked, "cannot be opened"), (strange, "cannot be opened")):
        assert main(["score", "freihand", str(path), str(truth)]) == 1
        assert message in capsys.readouterr().err


def test_wrong_usage(prediction, truth, tmp_path, capsys) -> None:
    command = ["score", "freihand", str(prediction), str(truth)]
    assert main([*command, "--out", str(tmp_path / "scores.csv")]) == 2
    assert main([*command, "--out", str(tmp_path / "no" / "scores.json")]) == 2
    assert main([*command, "--threads", "0"]) == 2
    assert capsys.readouterr().out == ""
    assert (
        main(["score", "freihand", str(write(tmp_path / "p.json", [nested(10)])), str(truth), "--fingertips", "smplx"])
        == 1
    )
    assert "--fingertips needs vertices" in capsys.readouterr().err
