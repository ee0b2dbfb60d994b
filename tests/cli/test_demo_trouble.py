"""`hamer demo` with pictures, folders and flags that something is wrong with. In process, with a detector that knows."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hamer.weights
from hamer import cli
from hamer.assets.places import ORIGINAL_FILES
from hamer.checkpoints.hand_files import load_open_hand
from hamer.checkpoints.weights import write_safetensors
from hamer.cli.demo import ways_without_files
from hamer.cli.demo_flags import add_arguments
from hamer.models import HamerConfig, ViTConfig, build_hamer
from hamer.models.config import DecoderConfig
from hamer.pipeline import reconstructor
from hamer.structures import HandBoxes

SAMPLES = Path(__file__).resolve().parents[2] / "examples" / "pictures"
Demo = Callable[..., int]


def known_hand() -> HandBoxes:
    """The hand of a sample, moved into a picture of 160 x 120 px."""
    points = np.array(json.loads((SAMPLES / "truth.json").read_text())["wave.jpg"][0]["keypoints_2d"])
    points = (points - points.min(0)) / np.ptp(points, axis=0).max() * 90 + [20, 15]
    box = [*points.min(0) - 5, *points.max(0) + 5]
    return HandBoxes([box], [True], [0.9], np.column_stack([points, np.ones(21)])[None])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    picture().save(folder / "good.jpg")
    return folder


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8))


@pytest.fixture
def demo(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """`hamer demo` of `source` into `out`, with more flags; a grey picture of 1 px has no hand."""

    def find(images: list[np.ndarray]) -> list[HandBoxes]:
        return [known_hand() if image.size > 3 else HandBoxes.empty() for image in images]

    monkeypatch.setattr(reconstructor, "load_hands", lambda *_a, **_k: find)
    monkeypatch.setattr("hamer.cli.demo._fetch_models", lambda **_: False)

    def run(*flags: object) -> int:
        places = ["--img_folder", str(source), "--out_folder", str(tmp_path / "out"), "--checkpoint", "none"]
        return cli.main(["demo", *places, *map(str, flags)])

    return run


def hands_of(out: Path, name: str) -> int:
    return len(json.loads((out / f"{name}.json").read_text())["hands"])


def test_pictures_of_every_kind_and_name(demo: Demo, source: Path, tmp_path: Path) -> None:
    image = picture()
    kinds = {
        "-dash.jpg": image,
        "with space.png": image,
        "ünï日.webp": image,
        "cmyk.jpg": image.convert("CMYK"),
        "grey.png": image.convert("L"),
        "alpha.png": image.convert("RGBA"),
        "deep.png": Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257),
        "stem.jpg": image,
        "stem.png": image,
        "one.png": Image.new("L", (1, 1)),
        "a" * 230 + ".jpg": image,
    }
    if os.name == "posix":
        kinds |= {"new\nline.jpg": image, "bad\udcff.jpg": image}
    for name, kind in kinds.items():
        kind.save(source / name)
    image.save(source / "moving.gif", save_all=True, append_images=[image.rotate(90)])
    assert demo() == 0
    out = tmp_path / "out"
    counts = [len(json.loads(f.read_text())["hands"]) for f in out.glob("*.json")]
    assert sorted(counts) == [0] + [1] * (len(kinds) + 1)
    assert hands_of(out, "one") == 0
    assert hands_of(out, "stem.jpg") == hands_of(out, "stem.png") == 1


def test_bad_pictures_are_reported_and_the_others_done(
    demo: Demo, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "empty.jpg").touch()
    (source / "text.png").write_text("not a picture")
    (source / "cut.jpg").write_bytes((source / "good.jpg").read_bytes()[:3000])
    (source / "gone.jpg").symlink_to(source / "absent.jpg")
    assert demo() == 1
    text = capsys.readouterr()
    for name in ("empty.jpg", "text.png", "cut.jpg", "gone.jpg"):
        assert f"{name}" in text.err
    assert "1 pictures, 1 hands" in text.out
    assert "4 of 5 pictures failed" in text.out
    assert hands_of(tmp_path / "out", "good") == 1


def test_a_result_that_cannot_be_written_is_this_pictures_failure(
    demo: Demo, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hamer import results

    save = results.save

    def fails_once(result: Any, folder: Path, *, name: str, **more: Any) -> Any:
        if name == "bad":
            raise ValueError("result.hands[0].score must be a finite number")
        return save(result, folder, name=name, **more)

    monkeypatch.setattr(results, "save", fails_once, raising=False)
    picture().save(source / "bad.jpg")
    assert demo() == 1
    assert "bad.jpg: result.hands[0].score must be a finite number" in capsys.readouterr().err
    assert hands_of(tmp_path / "out", "good") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--focal_length", "nan"], "positive numbers"),
        (["--focal_length", "inf"], "positive numbers"),
        (["--focal_length", "1", "2", "3"], "one or two"),
        (["--focal_length", "500", "--principal_point", "nan", "3"], "finite numbers"),
        (["--focal_length", "500", "--distortion", "0.1"], "4, 5 or 8"),
        (["--rescale_factor", "nan"], "positive and finite"),
        (["--rescale_factor", "inf"], "positive and finite"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--threads", "-1"], "--threads must be at least 1"),
        (["--device", "nonsense"], "--device must be auto"),
    ],
)
def test_odd_flags_are_wrong_usage(
    demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert demo(*flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_results_do_not_go_beside_a_single_picture(
    demo: Demo, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo("--img_folder", source / "good.jpg", "--out_folder", source) == 2
    assert "results could replace them" in capsys.readouterr().err


def test_a_folder_inside_the_pictures_folder_and_above_it(demo: Demo, source: Path) -> None:
    assert demo("--out_folder", source / "out") == 0
    assert demo("--out_folder", source.parent) == 0
    assert demo() == 0
    assert sorted(f.name for f in source.iterdir()) == ["good.jpg", "out"]


def test_an_out_folder_that_cannot_be_made_is_named(
    demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert demo("--out_folder", tmp_path / "file" / "out") == 1
    assert "cannot write to --out_folder" in capsys.readouterr().err


def test_flags_without_effect_are_said(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo("--precision", "int8", "--refine", "--checkpoint", "fit") == 0
    assert "--refine, --precision without effect" in capsys.readouterr().err


@pytest.fixture
def built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny network of random weights in the place of the one that ships."""
    config = HamerConfig(
        ViTConfig(32, 1, 2, image_size=(64, 64), patch_padding=0), DecoderConfig(depth=1, context_dim=32), image_size=64
    )
    cfg = config.to_cfg().to_dict()
    cfg["MANO"]["MODEL_PATH"] = "open"
    tensors = build_hamer(config, load_open_hand()).state_dict()
    monkeypatch.setattr(hamer.weights, "FOLDER", tmp_path)
    kept = {name: value for name, value in tensors.items() if not name.startswith("mano.")}
    return write_safetensors(tmp_path / hamer.weights.FILE, kept, config=cfg)


def test_the_built_in_network_is_the_way_without_files(
    demo: Demo, built_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo("--precision", "int8", "--device", "cpu") == 0
    said = capsys.readouterr()
    assert "3D: built-in network + keypoint refinement (open hand)" in said.out
    assert "without effect" not in said.err
    table = json.loads((tmp_path / "out" / "good.json").read_text())
    assert table["model"] == "built-in network + keypoint refinement (open hand)"
    assert demo("--no-refine") == 0
    assert "3D: built-in network (open hand)" in capsys.readouterr().out
    built_in.touch()  # as another version of the package would bring another file
    assert demo("--no-refine") == 0
    assert "1 pictures, 1 hands" in capsys.readouterr().out  # done again
    assert demo("--checkpoint", "fit") == 0
    assert "3D: keypoint fit (open hand)" in capsys.readouterr().out


def test_a_built_in_network_that_is_asked_for_and_not_there_is_told(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hamer.weights, "FOLDER", tmp_path)
    assert demo("--checkpoint", "built-in") == 1
    assert "--checkpoint fit" in capsys.readouterr().err
    assert demo() == 0
    assert "3D: keypoint fit (open hand)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--boxes", "BOXES", "--effort", "fast"],
            "--effort without effect: for mediapipe only, and the hands are those of",
        ),
        (
            ["--boxes", "BOXES", "--body_detector", "regnety"],
            "--body_detector without effect: the hands are those of --boxes",
        ),
        (
            ["--no-suppression", "--low_memory"],
            "--suppression, --low_memory without effect: for vitdet and regnety only",
        ),
    ],
)
def test_flags_of_another_detector_are_said(
    demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    (tmp_path / "boxes.json").write_text("{}")
    assert demo(*(str(tmp_path / "boxes.json") if flag == "BOXES" else flag for flag in flags)) == 0
    assert message in capsys.readouterr().err


def test_a_body_detector_gets_its_flags(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def load(name: str, **options: Any) -> Any:
        asked.update(options, name=name)
        return lambda images: [known_hand() for _ in images]

    monkeypatch.setattr(reconstructor, "load_hands", load)
    flags = ["--person_score", "0.3", "--keypoint_score", "0.2", "--no-flip_test", "--no-suppression"]
    flags += ["--batch_size", "3", "--threads", "1", "--detector_precision", "bfloat16", "--device", "cpu"]
    assert demo("--body_detector", "regnety", *flags) == 0
    assert asked == {
        "name": "regnety", "person_score": 0.3, "min_confidence": 0.2, "flip_test": False, "suppression": False,
        "batch_size": 3, "threads": 1, "precision": "bfloat16", "device": "cpu",
    }  # fmt: skip


def test_usual_flags_need_no_words(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo("--body_detector", "mediapipe", "--effort", "fast") == 0
    assert "without effect" not in capsys.readouterr().err


@pytest.fixture
def originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `_DATA` folder of the original's files, without any yet."""
    folder = tmp_path / "_DATA"
    folder.mkdir()
    monkeypatch.setenv("HAMER_DATA", str(folder))
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return folder


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / ORIGINAL_FILES[name]).parent.mkdir(parents=True, exist_ok=True)
        (folder / ORIGINAL_FILES[name]).touch()


@pytest.mark.parametrize(
    ("here", "message"),
    [
        (
            ["regnety"],
            "the weights of regnety are here, but not those of vitpose that go with them (hamer fetch vitpose)",
        ),
        (
            ["vitpose"],
            "the weights of vitpose are here, but not those of vitdet that go with them (hamer fetch vitdet)",
        ),
        ([], ""),
    ],
)
def test_auto_tells_of_half_the_files(
    demo: Demo, originals: Path, capsys: pytest.CaptureFixture[str], here: list[str], message: str
) -> None:
    put(originals, *here)
    assert demo() == 0
    said = capsys.readouterr()
    assert "hands: mediapipe" in said.out
    assert message in said.err
    assert bool(said.err) == bool(message)


@pytest.mark.parametrize(
    ("here", "ways"),
    [
        ([], ["--checkpoint none"]),
        (["hamer_checkpoint", "vitpose", "regnety"], ["--body_detector regnety", "--checkpoint none"]),
        (["hamer_checkpoint", "vitpose", "vitdet"], []),
    ],
)
def test_demo_py_tells_of_other_ways_only_where_files_are_missing(
    originals: Path, here: list[str], ways: list[str]
) -> None:
    put(originals, *here)
    parser = argparse.ArgumentParser()
    add_arguments(parser, checkpoint="_DATA/hamer_ckpts/checkpoints/hamer.ckpt", body_detector="vitdet")
    told = ways_without_files(parser.parse_args([]))
    assert len(told) == len(ways)
    assert all(way in line for way, line in zip(ways, told, strict=True))


def test_our_warnings_reach_the_user_and_others_do_not() -> None:
    code = (
        "import logging; from hamer.cli import show_log; show_log()\n"
        "for name in ('hamer.detectors.x', 'PIL', 'hamer.own'):\n"
        "    if name == 'hamer.own': logging.getLogger(name).addHandler(logging.NullHandler())\n"
        "    logging.getLogger(name).warning('told by %s', name)\n"
        "logging.getLogger('PIL').error('an error')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.splitlines() == ["hamer.detectors.x: told by hamer.detectors.x", "PIL: an error"]


def test_changed_boxes_are_done_again(demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = tmp_path / "boxes.json"
    for content in ("{}", '{"good": []}'):
        boxes.write_text(content)
        assert demo("--boxes", boxes) == 0
        assert "1 pictures, 1 hands" in capsys.readouterr().out
    assert demo("--boxes", boxes) == 0
    assert "finished by an earlier run" in capsys.readouterr().out


def test_an_interrupt_says_how_to_go_on(
    demo: Demo, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_a: object, **_k: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hamer.results.save", stop, raising=False)
        assert demo() == 130
    assert "run the same command again to continue" in capsys.readouterr().err
    assert demo() == 0
    assert hands_of(tmp_path / "out", "good") == 1


@pytest.mark.skipif(os.name != "posix", reason="pipes break in another way elsewhere")
@pytest.mark.parametrize("command", [[], ["fetch"]])
def test_a_reader_that_goes_away_is_no_error(command: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [sys.executable, "-m", "hamer", *command], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (run.returncode, run.stderr) == (141, "")
