"""`hamer data`: what a user types, what comes back, and what happens when it goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hamer.cli import main
from hamer.configs.reader import read_yaml
from hamer.datasets.mocap_dataset import MoCapDataset
from hamer.datasets.tar_writing import TarShard


@pytest.fixture
def hands(tmp_path: Path) -> Path:
    """Four pictures with a flat hand of 2D joints each, one of them cut short; the annotation file."""
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(4):
        noise = rng.integers(0, 255, (12, 16, 3), np.uint8)
        path = tmp_path / "photos" / f"p{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(noise).resize((320, 240)).save(path)
        fingers = [[100 + 15 * finger, 160 - 20 * joint] for finger in range(5) for joint in range(1, 5)]
        hand = {"is_right": number % 2 == 0, "keypoints_2d": [[130, 180], *fingers]}
        pictures.append({"image": path.name, "hands": [hand]})
    path.write_bytes(path.read_bytes()[:600])
    (tmp_path / "hands.json").write_text(json.dumps({"pictures": pictures}))
    return tmp_path / "hands.json"


def pack(hands: Path, *more: str) -> int:
    folder = hands.parent
    arguments = ["--annotations", str(hands), "--img_folder", str(folder / "photos"), "--out_folder"]
    return main(["data", "pack", *arguments, str(folder / "packed"), *more])


def test_pack_and_check(hands: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hands.parent)
    assert pack(hands, "--licence", "CC0", "--source", "our lab", "--shard_size", "2") == 0
    output = capsys.readouterr()
    assert "left out p3.jpg" in output.err
    assert "3 hands (1 left) of 3 pictures in 2 tars" in output.out
    assert f"hamer train exp_name=NAME data=own DATASETS.FILE={hands.parent / 'packed' / 'dataset.yaml'}" in output.out
    card = json.loads((hands.parent / "packed" / "dataset.json").read_text())
    assert (card["licence"], card["source"], card["hands"], card["left_out"]) == ("CC0", "our lab", 3, 1)
    entry = read_yaml(hands.parent / "packed" / "dataset.yaml").to_dict()["OWN-TRAIN"]
    assert entry == {
        "TYPE": "ImageDataset", "URLS": str(hands.parent / "packed" / "{000000..000001}.tar"), "epoch_size": 3
    }  # fmt: skip

    assert main(["data", "check", "packed", "packed/dataset.yaml", "--draw", "2", "--draw_file", "sheet.png"]) == 0
    output = capsys.readouterr()
    assert "3 hands (1 left, 2 right) in 3 pictures" in output.out
    assert "hands left for training" in output.out
    assert output.out.endswith("2 files, 3 samples: 0 errors, 0 warnings\n")
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 512


def test_the_report_as_json(hands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack(hands)
    capsys.readouterr()
    assert main(["data", "check", str(hands.parent / "packed"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["errors"] == 0
    assert report["statistics"]["left_for_training"] == 3
    assert report["statistics"]["filters"]["BETAS_REG"] == 3


def test_exit_statuses(hands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(hands, "--strict") == 1  # one picture was left out
    tar = hands.parent / "packed" / "000000.tar"
    tar.write_bytes(tar.read_bytes()[:30000])
    assert main(["data", "check", str(tar)]) == 1
    assert "error tar: 1" in capsys.readouterr().out
    assert main(["data", "check", str(hands.parent / "absent.tar")]) == 1
    assert pack(hands, "--workers", "0") == 2
    assert pack(hands, "--min_keypoints", "21", "--side", "left", "--box_factor", "-1") == 1
    assert main(["data", "check", str(tar), "--draw", "0"]) == 2
    assert main(["data"]) == 2
    assert pack(hands, "--img_folder", str(hands)) == 2
    for picture in (hands.parent / "photos").iterdir():
        picture.unlink()
    assert pack(hands, "--overwrite") == 1
    assert "none of the 4 annotated pictures" in capsys.readouterr().err


def test_a_part_kept_apart(hands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = 0
    for part in ("train", "val"):
        assert pack(hands, "--part", part, "--validation_share", "0.5", "--overwrite") == 0
        packed += json.loads((hands.parent / "packed" / "dataset.json").read_text())["pictures"]
    assert packed == 3


def test_a_full_disk(hands: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    add = TarShard.add

    def fill(shard: TarShard, key: str, members: Any) -> None:
        if key == "000002":
            raise OSError(28, "No space left on device")
        add(shard, key, members)

    monkeypatch.setattr(TarShard, "add", fill)
    assert pack(hands, "--shard_size", "2") == 1
    assert "make room there and run the same command again" in capsys.readouterr().err
    left = sorted(f.name for f in (hands.parent / "packed").iterdir())
    assert left == [".manifest.jsonl.lock", "000000.tar", "manifest.jsonl"]
    monkeypatch.undo()
    assert pack(hands, "--shard_size", "2") == 0
    assert "3 hands (1 left) of 3 pictures in 2 tars" in capsys.readouterr().out


def test_warnings_count_when_strict(hands: Path, golden: Path) -> None:
    tar = str(golden / "hamer" / "tiny.tar")  # its 3D joints are random numbers
    assert main(["data", "check", tar]) == 0
    assert main(["data", "check", tar, "--strict"]) == 1


def test_filters_of_a_trained_model(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tar, config = str(golden / "hamer" / "tiny.tar"), str(golden / "hamer" / "model_config.yaml")
    assert main(["data", "check", tar, "--config", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["statistics"]["left_for_training"] == 5


def test_poses_for_the_adversary(hands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(hands.read_text())
    for number, picture in enumerate(content["pictures"][:2]):  # the second is a left hand
        picture["hands"][0]["parameters"] = {
            "global_orient": [0.1] * 3,
            "hand_pose": [0.2] * 45,
            "betas": [number] * 10,
        }
    hands.write_text(json.dumps(content))
    assert pack(hands, "--name", "LAB-TRAIN", "--mocap") == 0
    assert "DATASETS.MOCAP=LAB-MOCAP" in capsys.readouterr().out
    listed = read_yaml(hands.parent / "packed" / "dataset.yaml").to_dict()
    assert set(listed) == {"LAB-TRAIN", "LAB-MOCAP"}
    mocap = MoCapDataset(listed["LAB-MOCAP"]["DATASET_FILE"])
    assert len(mocap) == 2
    np.testing.assert_allclose(mocap[0]["hand_pose"], 0.2)
    np.testing.assert_allclose(mocap[1]["hand_pose"], np.tile([0.2, -0.2, -0.2], 15))  # mirrored
    assert main(["data", "check", str(hands.parent / "packed" / "dataset.yaml")]) == 0


@pytest.mark.parametrize("command", [[], ["pack"], ["check"]])
def test_the_help_teaches(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["data", *command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert "hamer data" in text
    assert not command or "examples:" in text


def test_killed_and_run_again(hands: Path, tmp_path: Path) -> None:
    content = json.loads(hands.read_text())
    content["pictures"] = content["pictures"][:3] * 50
    hands.write_text(json.dumps(content))
    arguments = [sys.executable, "-m", "hamer", "data", "pack", "--annotations", str(hands), "--img_folder"]
    arguments += [str(tmp_path / "photos"), "--shard_size", "10", "--workers", "1", "--out_folder"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen([*arguments, str(tmp_path / "killed")], env=environment, stderr=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "000001.tar").exists():
        assert killed.poll() is None, "the run must last until it is killed"
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "000014.tar").exists()
    for name in ("killed", "whole"):
        assert pack_into(hands, tmp_path / name) == 0
    names = sorted(f.name for f in (tmp_path / "whole").iterdir() if f.name != "dataset.yaml")
    assert len(names) == 15 + 3  # the journal, its lock, the set's card
    for name in names:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def pack_into(hands: Path, folder: Path) -> int:
    arguments: list[Any] = ["data", "pack", "--annotations", hands, "--img_folder", hands.parent / "photos"]
    return main([str(a) for a in [*arguments, "--shard_size", 10, "--out_folder", folder]])
