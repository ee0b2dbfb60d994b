"""Names that do not collide, and runs that continue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hamer.results.run_folder import RunFolder, unique_names
from hamer.structures import Camera, Reconstruction


def result() -> Reconstruction:
    return Reconstruction([], Camera(1, 1, 0, 0), 1, 1, np.zeros((0, 3)), "open", "m", "d")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "in" / n for n in ("a.jpg", "b.jpg", "c.jpg")]
    files[0].parent.mkdir()
    for f in files:
        f.write_bytes(b"x")
    return files


def finish(folder: RunFolder, picture: Path) -> None:
    (folder.folder / f"{folder.names[picture]}.json").write_text("{}")
    folder.record_done(picture, result())


def test_shared_stems_keep_their_suffix_and_shared_names_get_a_number() -> None:
    paths = [Path("x/a.jpg"), Path("x/a.png"), Path("x/b.jpg"), Path("y/A.JPG")]
    names = unique_names(paths)
    assert [names[p] for p in paths] == ["a.jpg", "a.png", "b", "A.JPG.2"]
    assert len({n.casefold() for n in names.values()}) == 4


def test_a_rerun_leaves_out_what_is_done_and_tries_failures_again(tmp_path: Path, pictures: list[Path]) -> None:
    first = RunFolder(tmp_path / "out", pictures, {"a": 1})
    finish(first, pictures[0])
    first.record_failed(pictures[1], ValueError("broken"))
    again = RunFolder(tmp_path / "out", pictures, {"a": 1})
    assert again.remaining() == pictures[1:]
    assert again.remaining(overwrite=True) == pictures


def test_other_options_a_changed_picture_or_a_lost_json_mean_doing_it_again(
    tmp_path: Path, pictures: list[Path]
) -> None:
    first = RunFolder(tmp_path / "out", pictures, {"a": 1})
    for picture in pictures:
        finish(first, picture)
    assert RunFolder(tmp_path / "out", pictures, {"a": 2}).remaining() == pictures
    pictures[0].write_bytes(b"longer")
    (tmp_path / "out" / "b.json").unlink()
    assert RunFolder(tmp_path / "out", pictures, {"a": 1}).remaining() == pictures[:2]


def test_a_journal_cut_off_by_a_kill_loses_only_its_last_line(tmp_path: Path, pictures: list[Path]) -> None:
    first = RunFolder(tmp_path / "out", pictures, {})
    finish(first, pictures[0])
    finish(first, pictures[1])
    journal = tmp_path / "out" / "run.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    second = RunFolder(tmp_path / "out", pictures, {})
    assert second.remaining() == pictures[1:]
    finish(second, pictures[1])
    assert RunFolder(tmp_path / "out", pictures, {}).remaining() == pictures[2:]


def test_a_name_is_given_once_even_where_numbers_and_suffixes_meet() -> None:
    paths = [Path(p) for p in ("x/a.jpg", "x/a.png", "x/a.jpg.png", "x/a.jpg.2.png")]
    names = unique_names(paths)
    assert len(set(names.values())) == 4


def test_long_names_are_cut_and_stay_different() -> None:
    paths = [Path("é" * 120 + end) for end in ("a.jpg", "b.jpg")]
    names = [unique_names(paths)[p] for p in paths]
    assert len(set(names)) == 2
    assert all(len(f".{n}_all.jpg".encode()) < 255 for n in names)


def test_any_file_name_goes_through_the_journal(tmp_path: Path) -> None:
    # a line separator that is no newline; a byte that is no UTF-8
    pictures = [tmp_path / "in" / n for n in ("a\u2028b.jpg", "bad\udcff.jpg", "new\nline.jpg")]
    pictures[0].parent.mkdir()
    for picture in pictures:
        picture.write_bytes(b"x")
        finish(RunFolder(tmp_path / "out", pictures, {}), picture)
    assert RunFolder(tmp_path / "out", pictures, {}).remaining() == []


def test_a_picture_of_another_folder_does_not_replace_results(tmp_path: Path) -> None:
    first, second = tmp_path / "x" / "a.jpg", tmp_path / "y" / "a.png"
    for picture in (first, second):
        picture.parent.mkdir()
        picture.write_bytes(b"x")
        folder = RunFolder(tmp_path / "out", [picture], {})
        finish(folder, picture)
    assert folder.names == {second: "a.2"}
    assert RunFolder(tmp_path / "out", [second], {}).remaining() == []
    assert RunFolder(tmp_path / "out", [first], {}).remaining() == []
    first.unlink()
    third = tmp_path / "z.jpg"
    third.write_bytes(b"x")
    third = third.rename(tmp_path / "a.jpg")
    assert RunFolder(tmp_path / "out", [third], {}).names == {third: "a"}  # the picture whose name it was is gone


def test_a_journal_that_is_none_is_passed_over(tmp_path: Path, pictures: list[Path]) -> None:
    (tmp_path / "out").mkdir()
    lines = ["[]", "3", '{"name": []}', '{"name": "a", "hands": "many"}', '{"name": "b", "path": 3, "status": "done"}']
    (tmp_path / "out" / "run.jsonl").write_text("\n".join(lines))
    assert RunFolder(tmp_path / "out", pictures, {}).remaining() == pictures


def test_a_scene_without_hands_any_more_goes_away(tmp_path: Path, pictures: list[Path]) -> None:
    folder = RunFolder(tmp_path / "out", pictures, {})
    folder._record(pictures[0], {"status": "done", "hands": 1})
    for suffix in (".glb", ".html", "_0.png"):
        (folder.folder / f"a{suffix}").touch()
    folder.record_done(pictures[0], result())
    assert not list(folder.folder.glob("a*"))


def test_files_of_hands_that_are_no_more_go_away(tmp_path: Path, pictures: list[Path]) -> None:
    folder = RunFolder(tmp_path / "out", pictures, {})
    folder._record(pictures[0], {"status": "done", "hands": 2})
    for name in ("a_0.png", "a_1.obj", "a_2.png"):
        (folder.folder / name).touch()
    folder.record_done(pictures[0], result())
    assert sorted(p.name for p in folder.folder.glob("a_*")) == ["a_2.png"]  # no run of ours wrote that one
