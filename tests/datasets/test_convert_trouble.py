"""Conversions that meet trouble: incomplete releases, bad files, interruptions."""

from __future__ import annotations

import json
import logging
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hamer.configs.reader import read_yaml
from hamer.datasets.conversion import ConvertOptions, ReleaseError, convert, freihand, hint, read_truth
from hamer.datasets.conversion.json_rows import read_rows
from hamer.datasets.conversion.rows import write_arrays
from hamer.datasets.npz_arrays import read_npz

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("release_making.py"))))


@pytest.fixture
def release(tmp_path: Path, made_up_hands: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FreiHAND as if three samples had been published."""
    monkeypatch.setitem(freihand.PUBLISHED, "evaluation", 3)
    return making.freihand(tmp_path / "release", made_up_hands)


def test_a_complete_release_needs_no_permission(release: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int, int]] = []
    (done,) = convert("freihand", release, tmp_path / "out", workers=1, progress=lambda *args: told.append(args))
    assert done.is_complete
    assert done.counts == ["pictures of evaluation: found 3, published 3"]
    assert told == [("evaluation", 1, 3, 0), ("evaluation", 2, 3, 0), ("evaluation", 3, 3, 0)]


def test_an_incomplete_release_is_an_error_unless_allowed(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(freihand.PUBLISHED, "evaluation", 3960)
    with pytest.raises(ReleaseError, match=r"found 3, published 3960\n.*--allow_incomplete"):
        convert("freihand", release, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with caplog.at_level(logging.WARNING):
        convert("freihand", release, tmp_path / "out", allow_incomplete=True)
    assert "found 3, published 3960" in caplog.text


def test_bad_pictures_are_named_and_left_out(release: Path, tmp_path: Path) -> None:
    pictures = release / "evaluation" / "rgb"
    (pictures / "00000000.jpg").unlink()
    (pictures / "00000002.jpg").write_bytes(b"no picture")
    (done,) = convert("freihand", release, tmp_path / "out")
    assert not done.is_complete
    assert [name for name, _ in done.bad] == ["00000000", "00000002"]
    assert "no such file" in done.bad[0][1]
    assert read_npz(tmp_path / "out" / "freihand_val.npz")["imgname"].tolist() == ["00000001.jpg"]
    assert len(read_truth(tmp_path / "out" / "freihand_val.npz").vertices) == 1
    card = json.loads((tmp_path / "out" / "freihand_val.conversion.json").read_text())
    assert (card["pictures"], card["hands"], len(card["bad"])) == (3, 1, 2)


def test_cut_pictures_are_found_when_they_are_decoded(release: Path, tmp_path: Path) -> None:
    picture = release / "evaluation" / "rgb" / "00000001.jpg"
    picture.write_bytes(picture.read_bytes()[:700])
    (header,) = convert("freihand", release, tmp_path / "a")
    (decoded,) = convert("freihand", release, tmp_path / "b", ConvertOptions(pictures="decode"))
    assert (header.hands, decoded.hands) == (3, 2)


def test_pictures_of_another_size_are_bad(tmp_path: Path, made_up_hands: Any) -> None:
    file = making.coco(tmp_path / "coco", made_up_hands)
    content = json.loads(file.read_text())
    content["images"][0]["width"] = 640
    making.write_json(file, content)
    with pytest.raises(ReleaseError, match="320 x 240 px, its annotation is for"):
        convert("coco-wholebody", file, tmp_path / "out", allow_incomplete=True)


def test_no_picture_left_is_an_error_that_shows_the_first(release: Path, tmp_path: Path) -> None:
    for picture in (release / "evaluation" / "rgb").iterdir():
        picture.unlink()
    with pytest.raises(ReleaseError, match=r"none of the 3 pictures.*no such file"):
        convert("freihand", release, tmp_path / "out")


def test_hands_off_the_picture_are_left_out(
    tmp_path: Path, made_up_hands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = making.onehand10k(tmp_path / "set", made_up_hands)
    content = json.loads(file.read_text())
    shifted = json.loads(json.dumps(content["annotations"][0])) | {"id": 2, "bbox": [900, 900, 20, 20]}
    content["annotations"].append(shifted)
    making.write_json(file, content)
    (done,) = convert("onehand10k", file, tmp_path / "out", allow_incomplete=True)
    assert (done.hands, len(done.unlabelled)) == (1, 1)
    assert "off the picture of 320 x 240 px" in done.unlabelled[0][1]


def test_what_is_done_is_not_done_again(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert convert("freihand", release, out)[0].is_new
    before = (out / "freihand_val.npz").stat().st_mtime_ns
    (again,) = convert("freihand", release, out)
    assert not again.is_new
    assert again.hands == 3
    assert (out / "freihand_val.npz").stat().st_mtime_ns == before
    assert convert("freihand", release, out, overwrite=True)[0].is_new
    xyz = json.loads((release / "evaluation_xyz.json").read_text())
    making.write_json(release / "evaluation_xyz.json", [*xyz[:2], xyz[0]])  # other joints: another fingerprint
    assert convert("freihand", release, out)[0].is_new
    (out / "freihand_val_vertices.npy").unlink()
    assert convert("freihand", release, out)[0].is_new


def test_an_interrupted_run_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.ones(3)})

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        write_arrays(path, {"x": np.zeros(3)})
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    assert read_npz(path)["x"].tolist() == [1, 1, 1]


def test_finished_folders_of_hint_stay_when_another_is_missing_files(
    tmp_path: Path, made_up_hands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TEST_newdays_img", "TEST_epick_img"):
        making.hint(tmp_path / "hint", made_up_hands, name)
        monkeypatch.setitem(hint.PUBLISHED_FILES, name, 6)
    assert [done.is_new for done in convert("hint", tmp_path / "hint", tmp_path / "out")] == [True, True]
    bad = tmp_path / "hint" / "TEST_epick_img" / "ND_0000_l.json"
    bad.write_text("[{")
    second = convert("hint", tmp_path / "hint", tmp_path / "out")
    assert {done.split: done.is_new for done in second} == {"TEST_epick_img": True, "TEST_newdays_img": False}
    assert [name for name, _ in second[0].bad + second[1].bad] == ["ND_0000_l.json"]


def test_vertices_that_are_damaged_stop_the_run(release: Path, tmp_path: Path) -> None:
    """They are of the release: without them no picture is as it should be."""
    verts = json.loads((release / "evaluation_verts.json").read_text())
    making.write_json(release / "evaluation_verts.json", verts[:2])
    with pytest.raises(ReleaseError, match=r"an entry a sample \(3\), got 2"):
        convert("freihand", release, tmp_path / "out")
    making.write_json(release / "evaluation_verts.json", [*verts[:2], verts[2][:700]])
    with pytest.raises(ReleaseError, match="entry 2"):
        convert("freihand", release, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    (done,) = convert("freihand", release, tmp_path / "out", ConvertOptions(with_vertices=False))
    assert (done.hands, done.with_vertices) == (3, False)


def test_hint_without_ego4d_frames_gives_the_other_folders(
    tmp_path: Path, made_up_hands: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("TEST_ego4d_img", "TEST_newdays_img"):
        making.hint(tmp_path / "hint", made_up_hands, name)
    for picture in (tmp_path / "hint" / "TEST_ego4d_img").glob("*.jpg"):
        picture.unlink()
    (done,) = convert("hint", tmp_path / "hint", tmp_path / "out", allow_incomplete=True)
    assert done.split == "TEST_newdays_img"
    assert "none of the 3 pictures of TEST_ego4d_img could be used" in caplog.text
    assert sorted(read_yaml(tmp_path / "out" / "datasets_eval.yaml").to_dict()) == [
        "NEWDAYS-TEST-ALL", "NEWDAYS-TEST-OCC", "NEWDAYS-TEST-VIS"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "json list"),
        ("[[1, 2], [3]]", "entry 1"),
        ("[[1, 2", "entry 0"),
        ('[["a", "b"]]', "entry 0"),
        (f"[[1, 1{'0' * 400}]]", "entry 0"),
    ],
)
def test_rows_of_json_say_where_they_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "rows.json"
    file.write_text(text)
    with pytest.raises(ReleaseError, match=message):
        read_rows(file, (2,))


def test_rows_of_json(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(" [[1, 2.5] , [3,4]\n]")
    np.testing.assert_array_equal(read_rows(file, (2,)), [[1, 2.5], [3, 4]])
    file.write_text("[]")
    assert read_rows(file, (21, 3)).shape == (0, 21, 3)


def test_the_original_s_files_have_no_further_truth(golden: Path) -> None:
    truth = read_truth(golden / "hamer" / "eval_dataset.npz")
    assert (truth.camera, truth.vertices, truth.occlusion, truth.side_known) == (None, None, None, True)


def test_vertices_of_another_file_are_refused(release: Path, tmp_path: Path) -> None:
    convert("freihand", release, tmp_path / "out")
    np.save(tmp_path / "out" / "freihand_val_vertices.npy", np.zeros((2, 778, 3), np.float32))
    with pytest.raises(ValueError, match="convert the set again"):
        read_truth(tmp_path / "out" / "freihand_val.npz")
    (tmp_path / "out" / "freihand_val_vertices.npy").unlink()
    with pytest.raises(FileNotFoundError, match="keeps its vertices there"):
        read_truth(tmp_path / "out" / "freihand_val.npz")
