"""`hamer data synthesize`: tars that `hamer data check` passes, a sheet, continued runs, errors that help."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from hamer.cli import main
from hamer.datasets.synthetic import options, shards

SMALL = ["--size", "96", "--no_landmarks"]


@pytest.fixture(autouse=True)
def few_skins(monkeypatch: pytest.MonkeyPatch) -> None:
    """One variant of each layer of skin is enough here, and quick to prepare."""
    monkeypatch.setattr(options, "SyntheticOptions", partial(options.SyntheticOptions, skins=1))


def synthesize(folder: Path, *more: str) -> int:
    return main(["data", "synthesize", str(folder), *SMALL, *more])


def test_what_is_made_passes_the_check_and_can_be_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, sheet = tmp_path / "made", tmp_path / "looks" / "sheet.png"
    assert synthesize(folder, "--count", "5", "--shard_size", "3", "--sheet", str(sheet)) == 0
    said = capsys.readouterr().out
    assert "5 pictures" in said
    assert "hamer data check" in said
    assert "hamer train" in said
    names = {file.name for file in folder.iterdir()}
    assert names == {
        "000000.tar",
        "000001.tar",
        "manifest.jsonl",
        ".manifest.jsonl.lock",
        "dataset.json",
        "dataset.yaml",
    }
    assert main(["data", "check", str(folder)]) == 0
    with Image.open(sheet) as picture:
        assert picture.width > 1000
        assert picture.height > 256


def test_the_same_command_again_adds_nothing(tmp_path: Path) -> None:
    assert synthesize(tmp_path, "--count", "2") == 0
    tar = tmp_path / "000000.tar"
    before = tar.read_bytes(), tar.stat().st_mtime_ns
    assert synthesize(tmp_path, "--count", "2") == 0
    assert (tar.read_bytes(), tar.stat().st_mtime_ns) == before


def test_other_options_in_the_same_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synthesize(tmp_path, "--count", "1") == 0
    assert synthesize(tmp_path, "--count", "1", "--effects", "0.5") == 1
    assert "options" in capsys.readouterr().err
    assert synthesize(tmp_path, "--count", "1", "--effects", "0.5", "--overwrite") == 0


def test_a_run_that_failed_before_its_first_tar_binds_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    assert main(["data", "synthesize", str(folder), "--size", "96", "--count", "1", "--hand", "nowhere.pkl"]) == 1
    assert synthesize(folder, "--count", "1") == 0


@pytest.mark.parametrize("flag", ["--count", "--shard_size", "--processes"])
def test_wrong_numbers_are_wrong_usage(tmp_path: Path, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert synthesize(tmp_path, flag, "0") == 2
    assert f"{flag} must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--effects", "2"], "effects"),
        (["--background_share", "2"], "background_share"),
        (["--held_object", "-1"], "held_object"),
        (["--skin_colored", "2"], "skin_colored"),
        (["--size", "8"], "width"),
        (["--backgrounds", "no_such_folder"], "backgrounds"),
        (["--quality", "5"], "quality"),
        (["--sheet", "sheet.gif"], "--sheet"),
    ],
)
def test_wrong_usage_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], word: str
) -> None:
    assert synthesize(tmp_path / "made", *flags) == 2
    assert word in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_a_full_disk_is_told_and_nothing_half_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullShard(shards.TarShard):
        def add(self, *args: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards, "TarShard", FullShard)
    assert synthesize(tmp_path, "--count", "2") == 1
    assert "No space left" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.tar*"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--no_landmarks", "--hand", "nowhere.pkl"], "no hand model at nowhere.pkl"),
        ([], "hamer fetch hand_landmarker"),
    ],
)
def test_a_missing_file_is_no_full_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str], message: str
) -> None:
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HAMER_OFFLINE", "1")
    assert main(["data", "synthesize", str(tmp_path / "made"), "--size", "96", "--count", "1", *flags]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "make room" not in said


def test_the_card_is_written_though_the_sheet_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, taken = tmp_path / "made", tmp_path / "file"
    taken.touch()
    assert synthesize(folder, "--count", "1", "--sheet", str(taken / "sheet.png")) == 1
    assert str(taken) in capsys.readouterr().err
    assert (folder / "dataset.yaml").is_file()


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "synthesize", "--help"])
    said = capsys.readouterr().out
    assert "examples:" in said
    assert "--backgrounds" in said
