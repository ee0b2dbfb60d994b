"""HInt's files read, verified, summed and drawn."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hamer.datasets.hint import verify as verify_module
from hamer.datasets.hint.annotation import read_annotation
from hamer.datasets.hint.archive import ORIGINAL_MD5, archive_md5
from hamer.datasets.hint.drawing import draw_annotation, sheet
from hamer.datasets.hint.folders import PUBLISHED_FILES, find_folders
from hamer.datasets.hint.verify import verify
from hamer.rendering.keypoints import JOINT_COLORS

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("release_making.py"))))


@pytest.fixture
def folder(tmp_path: Path, made_up_hands: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three samples of a folder of which six files are published."""
    monkeypatch.setitem(verify_module.PUBLISHED_FILES, "TEST_newdays_img", 6)
    return making.hint(tmp_path / "HInt_annotation", made_up_hands) / "TEST_newdays_img"


def entry_of(hand: Any, **changes: Any) -> list[dict[str, Any]]:
    return [making.hint_entry(hand, hidden=(4, 8))[0] | changes]


def test_annotations(tmp_path: Path, made_up_hands: Any) -> None:
    hand = made_up_hands.hand(8)
    file = making.write_json(tmp_path / "a_r.json", entry_of(hand))
    found = read_annotation(file)
    assert (found.stem, found.is_right, found.box_form, found.presence_key) == ("a_r", True, "nested", None)
    np.testing.assert_allclose(found.keypoints, hand.points)
    assert np.flatnonzero(found.occluded).tolist() == [4, 8]
    flat = read_annotation(making.write_json(file, entry_of(hand, bbox=[1, 2, 30, 40])))
    assert (flat.box.tolist(), flat.box_form) == ([1, 2, 30, 40], "flat")
    presence = [1] * 20 + [0]
    told = read_annotation(making.write_json(file, entry_of(hand, presence=presence)))
    assert told.presence_key == "presence"
    assert not told.present[20]
    assert told.inside(320, 240).sum() == told.present.sum() - (hand.points[:20] >= (320, 240)).any(1).sum()
    assert read_annotation(making.write_json(tmp_path / "a.json", entry_of(hand))).is_right is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": [[1, 2]] * 20}, "21 points"),
        ({"keypoints": [[1, None]] * 21}, "numbers|finite"),
        ({"keypoints": [[1, 10**400]] * 21}, "must be numbers"),
        ({"occlusion": [2] * 21}, "0 or 1"),
        ({"occlusion": [0] * 20}, "0 or 1"),
        ({"bbox": [[10, 10, 5, 20]]}, "x1 > x0"),
        ({"bbox": []}, "x0, y0, x1, y1"),
    ],
)
def test_annotations_that_are_wrong(tmp_path: Path, made_up_hands: Any, changes: Any, message: str) -> None:
    file = making.write_json(tmp_path / "a_r.json", entry_of(made_up_hands.hand(8), **changes))
    with pytest.raises(ValueError, match=message):
        read_annotation(file)


def test_annotations_of_another_shape(tmp_path: Path, made_up_hands: Any) -> None:
    hand = entry_of(made_up_hands.hand(8))[0]
    for content, message in (([hand, hand], "a list of 2"), ([], "a list of 0"), (hand, "got dict")):
        with pytest.raises(ValueError, match=message):
            read_annotation(making.write_json(tmp_path / "a_r.json", content))
    del hand["occlusion"]
    with pytest.raises(ValueError, match="lacks occlusion"):
        read_annotation(making.write_json(tmp_path / "a_r.json", [hand]))


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEST_ego4d_seq", "TRAIN_epick_img"):
        (tmp_path / name).mkdir()
    assert [f.set_name for f in find_folders(tmp_path)] == ["EGO4D-SEQ-TEST", "EPICK-TRAIN"]
    assert [f.is_ego4d for f in find_folders(tmp_path)] == [True, False]
    assert [f.name for f in find_folders(tmp_path, "TRAIN")] == ["TRAIN_epick_img"]
    assert [f.name for f in find_folders(tmp_path / "TEST_ego4d_seq")] == ["TEST_ego4d_seq"]
    with pytest.raises(ValueError, match="VAL_ego4d_img"):
        find_folders(tmp_path, "VAL")
    with pytest.raises(ValueError, match="TRAIN_epick_img"):  # a folder of another split is not taken for it
        find_folders(tmp_path / "TEST_ego4d_seq", "TRAIN")
    monkeypatch.chdir(tmp_path / "TRAIN_epick_img")
    assert [f.name for f in find_folders(Path())] == ["TRAIN_epick_img"]
    assert sum(PUBLISHED_FILES.values()) == 80868


def test_verify_finds_nothing_wrong(folder: Path) -> None:
    (report,) = verify(folder.parent, decode=True)
    assert report.is_complete
    assert (report.files, report.annotations, report.pictures, report.joints_occluded) == (6, 3, 3, 6)
    assert report.sizes == {"320 x 240": 3}
    assert report.joints_outside >= 1  # the wrist that was moved away


def test_verify_finds_what_is_wrong(folder: Path, made_up_hands: Any) -> None:
    names = sorted(file.stem for file in folder.glob("*.json"))
    (folder / f"{names[0]}.jpg").write_bytes((folder / f"{names[0]}.jpg").read_bytes()[:-40])
    (folder / f"{names[1]}.json").write_text("[]")
    (folder / f"{names[2]}.jpg").unlink()
    making.write_json(folder / "nobody_l.json", entry_of(made_up_hands.hand(8), bbox=[[300, 10, 900, 90]]))
    made_up_hands.picture(folder / "nobody_l.jpg")
    (folder / "notes.txt").write_text("x")
    told: list[tuple[str, int, int, int]] = []
    (report,) = verify(folder.parent, progress=lambda *args: told.append(args))
    assert not report.is_complete
    assert report.files == 7
    faults = dict(report.problems)
    assert "no end" in faults[f"{names[0]}.jpg"]
    assert "one hand" in faults[f"{names[1]}.json"]
    assert faults[f"{names[2]}.jpg"] == "is missing"
    assert "reaches over the picture of 320 x 240" in faults["nobody_l.json"]
    assert "md5" in faults["notes.txt"]
    assert told[-1] == ("TEST_newdays_img", 4, 4, 4)


def test_damaged_pictures_are_found_by_decoding(folder: Path) -> None:
    picture = sorted(folder.glob("*.jpg"))[0]
    content = bytearray(picture.read_bytes())
    table = content.index(b"\xff\xc4")  # the code that everything after is written in
    content[table + 5 : table + 21] = b"\xff" * 16
    picture.write_bytes(content)
    assert verify(folder.parent)[0].problems == []
    assert [name for name, _ in verify(folder.parent, decode=True)[0].problems] == [picture.name]


def test_md5_is_that_of_the_archive(folder: Path, made_up_hands: Any, tmp_path: Path) -> None:
    making.hint(folder.parent, made_up_hands, "TEST_epick_img", 2)
    root = folder.parent
    # The archive as its makers describe it: folders and files in order, one time, one mode, names below HInt_annotation.
    moment = time.mktime((2024, 4, 24, 10, 10, 10, 0, 0, -1))
    target = tmp_path / "archive.zip"
    with zipfile.ZipFile(target, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for parent in sorted(root.iterdir()):
            for file in sorted(parent.iterdir()):
                file.chmod(0o644)
                os.utime(file, (moment, moment))
                archive.write(file, f"HInt_annotation/{parent.name}/{file.name}")
    told: list[tuple[int, int]] = []
    md5 = archive_md5(root, lambda *args: told.append(args))
    assert md5 == hashlib.md5(target.read_bytes()).hexdigest()
    assert told[-1] == (10, 10)
    assert len(ORIGINAL_MD5) == len(md5)


def test_hidden_joints_are_hollow() -> None:
    grey = np.full((200, 200, 3), 90, np.uint8)
    points = np.array([[100, 180], *[[30 + 35 * f, 150 - 35 * j] for f in range(5) for j in range(4)]], float)
    file = {"bbox": [[20, 30, 180, 190]], "keypoints": points.tolist(), "occlusion": [int(j == 8) for j in range(21)]}
    found = _read(file)
    drawn = draw_annotation(grey, found, crop=False)
    x, y = points[8].astype(int)
    assert drawn[y, x].tolist() == [90, 90, 90]  # the picture shows through
    assert (
        np.abs(drawn[y - 5 : y + 6, x - 5 : x + 6].astype(int) - JOINT_COLORS[8]).sum(-1).min() < 60
    )  # a ring about it
    x, y = points[12].astype(int)
    assert drawn[y, x].tolist() == list(JOINT_COLORS[12])
    assert (grey == 90).all()  # a copy


def test_joints_outside_are_not_drawn() -> None:
    black = np.zeros((100, 100, 3), np.uint8)
    points = np.full((21, 2), -30.0)
    points[1:5] = [[20, 20], [40, 20], [60, 20], [80, 20]]
    drawn = draw_annotation(
        black,
        _read({"bbox": [[10, 10, 90, 90]], "keypoints": points.tolist(), "occlusion": [0] * 21}),
        crop=True,
        side=256,
    )
    assert drawn.shape == (256, 256, 3)
    colours = {tuple(c) for c in drawn.reshape(-1, 3).tolist()}
    assert {tuple(JOINT_COLORS[j]) for j in (1, 4)} <= colours
    assert tuple(JOINT_COLORS[8]) not in colours
    assert sheet([drawn] * 5, columns=3).shape == (512, 768, 3)


def _read(entry: dict[str, Any]) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x_r.json"
        file.write_text(json.dumps([entry]))
        return read_annotation(file)
