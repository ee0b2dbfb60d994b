"""`hamer data convert` and `hamer data hint`: what a user types, what comes back, and what happens when it goes wrong."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hamer.cli import build_parser, data_convert, data_hint, main
from hamer.datasets.conversion import RELEASES, onehand10k, read_truth
from hamer.datasets.hint import verify as verify_module

POINTS = [[130, 180], *[[100 + 15 * finger, 160 - 20 * joint] for finger in range(5) for joint in range(1, 5)]]


def picture(path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize((320, 240)).save(path)
    return path


@pytest.fixture
def single_hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """OneHand10K as if two pictures had been published."""
    monkeypatch.setitem(onehand10k.PUBLISHED, "test", 2)
    images, annotations = [], []
    for number in (1, 2):
        picture(tmp_path / "set" / "Test" / "source" / f"{number}.jpg")
        images.append({"id": number, "file_name": f"Test/source/{number}.jpg", "width": 320, "height": 240})
        rows = [v for point in POINTS for v in (*point, 1)]
        annotations.append({"id": number, "image_id": number, "keypoints": rows, "bbox": [90, 80, 90, 110]})
    file = tmp_path / "set" / "annotations" / "onehand10k_test.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"images": images, "annotations": annotations}))
    return tmp_path / "set"


@pytest.fixture
def hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two hands of one of HInt's folders, as if that were all."""
    monkeypatch.setitem(verify_module.PUBLISHED_FILES, "TEST_epick_img", 4)
    folder = tmp_path / "HInt_annotation" / "TEST_epick_img"
    for name in ("EK_1_l", "EK_2_r"):
        picture(folder / f"{name}.jpg")
        entry = {"bbox": [[90, 70, 190, 190]], "keypoints": POINTS, "occlusion": [0] * 16 + [1] * 5}
        (folder / f"{name}.json").write_text(json.dumps([entry]))
    return folder.parent


def convert(*arguments: object) -> int:
    return main(["data", "convert", *map(str, arguments)])


def test_convert(single_hands: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert convert("onehand10k", single_hands, out) == 0
    said = capsys.readouterr().out
    assert "onehand10k test: 2 hands (0 left) of 2 pictures; with 3D joints 0, pose 0, vertices none\n" in said
    assert "pictures of onehand10k_test.json: found 2, published 2" in said
    assert "does not say which hand it is" in said
    assert f"list of sets: {out / 'datasets_eval.yaml'}" in said
    assert not read_truth(out / "onehand10k_test.npz").side_known
    assert convert("onehand10k", single_hands, out, "--side", "left") == 0
    assert read_truth(out / "onehand10k_test.npz").side_known
    assert convert("onehand10k", single_hands, out, "--side", "left") == 0
    assert "done before" in capsys.readouterr().out


def test_what_was_converted_is_sound(single_hands: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("onehand10k", single_hands, tmp_path / "out") == 0
    capsys.readouterr()
    assert (
        main(["data", "check", str(tmp_path / "out" / "onehand10k_test.npz"), "--img_folder", str(single_hands)]) == 0
    )
    assert "2 samples: 0 errors, 0 warnings" in capsys.readouterr().out


def test_bad_pictures_give_status_1(single_hands: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (single_hands / "Test" / "source" / "2.jpg").write_bytes(b"x")
    assert convert("onehand10k", single_hands, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "bad pictures, left out: 1\n    Test/source/2.jpg: cannot read" in error
    assert "1 bad pictures were left out; scores without them cannot be compared" in error
    assert convert("onehand10k", single_hands, tmp_path / "out", "--allow_incomplete", "--overwrite") == 0


def test_incomplete_releases(
    single_hands: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(onehand10k.PUBLISHED, "test", 1703)
    assert convert("onehand10k", single_hands, tmp_path / "out") == 1
    assert "found 2, published 1703" in capsys.readouterr().err
    assert convert("onehand10k", single_hands, tmp_path / "out", "--allow_incomplete") == 0
    assert "warning: not as published: pictures of onehand10k_test.json: found 2" in capsys.readouterr().err


def test_tars(single_hands: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("onehand10k", single_hands, tmp_path / "out", "--format", "tar", "--side", "right") == 0
    assert "2 hands of 2 pictures in 1 tars; left out 0" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path / "out" / "onehand10k_test")]) == 0


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("rhd", tmp_path, tmp_path / "out", "--workers", 0) == 2
    assert convert("rhd", tmp_path / "nowhere", tmp_path / "out") == 1
    assert "nothing exists at" in capsys.readouterr().err
    with pytest.raises(SystemExit) as error:
        convert("mano", tmp_path, tmp_path)
    assert error.value.code == 2
    assert main(["data"]) == 2
    assert main(["data", "hint"]) == 2


def test_the_command_knows_every_release() -> None:
    from hamer.cli.data_convert import _SETS

    assert list(_SETS) == list(RELEASES)


def run_hint(*arguments: object) -> int:
    return main(["data", "hint", *map(str, arguments)])


def test_hint_verify(hint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_hint("verify", hint, "--decode") == 0
    assert "TEST_epick_img: complete; files 4 of 4, annotations 2 (1 left), pictures 2 of 320 x 240 (2)" in (
        capsys.readouterr().out
    )
    assert run_hint("verify", hint, "--md5", "--json") == 1  # made up: not the authors'
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["folders"][0]["joints_occluded"] == 10
    assert report["md5"] != report["md5_of_the_authors"]
    (hint / "TEST_epick_img" / "EK_1_l.jpg").unlink()
    assert run_hint("verify", hint) == 1
    said = capsys.readouterr()
    assert "NOT COMPLETE; files 3 of 4" in said.out
    assert "EK_1_l.jpg: is missing" in said.err
    assert run_hint("verify", hint, "--split", "VAL") == 1
    assert "expected one of VAL_ego4d_img" in capsys.readouterr().err


def test_hint_draw(hint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_hint("draw", hint, tmp_path / "a") == 0
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["EK_1_l_joints.jpg", "EK_2_r_joints.jpg"]
    assert run_hint("draw", hint, tmp_path / "b", "--sheet") == 0
    with Image.open(tmp_path / "b" / "sheet.jpg") as sheet:
        assert sheet.size == (1024, 512)
    assert run_hint("draw", hint, tmp_path / "c", "--whole", "--count", 1) == 0
    with Image.open(next((tmp_path / "c").iterdir())) as whole:
        assert whole.size == (320, 240)
    for file in hint.rglob("*.jpg"):
        file.unlink()
    assert run_hint("draw", hint, tmp_path / "d") == 1
    assert "no picture with an annotation" in capsys.readouterr().err


def test_hint_prepare_says_what_is_missing(hint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = hint / "TEST_ego4d_img"
    folder.mkdir()
    (folder / "clip_x_3_pre_15_l.json").write_text("[]")
    assert run_hint("prepare", hint, tmp_path / "clips") == 1
    assert "the clips' folder must exist" in capsys.readouterr().err
    (tmp_path / "clips").mkdir()
    assert run_hint("prepare", hint, tmp_path / "clips") == 1
    said = capsys.readouterr()
    assert "0 pictures written, 0 were there, 1 are missing" in said.out
    assert "clip: the clip is not there; 1 pictures need it" in said.err


@pytest.mark.parametrize("module", [data_convert, data_hint], ids=lambda m: m.__name__)
def test_examples_of_the_help_parse(module: ModuleType) -> None:
    texts = [value for name, value in vars(module).items() if isinstance(value, str) and "example" in value]
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip().startswith("hamer data ")]
    assert len(lines) >= 2
    for line in lines:
        assert build_parser().parse_args(shlex.split(line)[1:]).run
