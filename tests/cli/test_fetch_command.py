"""`hamer fetch` as a person types it."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hamer.assets.manifest import ASSETS, Asset, Member, WebFile
from hamer.cli import fetch
from hamer.cli.progress import DownloadBars


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HAMER_OFFLINE", "1")  # nothing here may ask the network
    monkeypatch.delenv("HAMER_DATA", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    fetch.add_parser(parser.add_subparsers())
    args = parser.parse_args(["fetch", *words])
    return args.run(args)


def test_list(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _run() == 0
    text = capsys.readouterr().out
    assert "hand_landmarker" in text
    assert "6.0 GB" in text
    assert str(tmp_path / "cache") in text
    assert "here" not in text.split("Get one")[0].replace("where", "")


def test_take_mano_from_its_zip(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _run("mano") == 1
    assert "--from mano_v1_2.zip" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "mano_v1_2.zip", "w") as bundle:
        bundle.writestr("mano_v1_2/models/MANO_RIGHT.pkl", b"\x80\x02}q\x00.")
    assert _run("mano", "--from", str(tmp_path / "mano_v1_2.zip")) == 0
    path = tmp_path / "cache" / "_DATA" / "data" / "mano" / "MANO_RIGHT.pkl"
    assert path.exists()
    assert str(path) in capsys.readouterr().out
    assert _run("mano", "--dry-run") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert _run() == 0
    assert "here  mano" in capsys.readouterr().out


def test_dry_run_does_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert (
        _run("hamer_demo_data", "vitdet", "hand_landmarker", "mano", "--dry-run", "--to", str(tmp_path / "disk")) == 0
    )
    text = capsys.readouterr().out
    for expected in ("https://www.cs.utexas.edu/", "6.0 GB", "mediapipe==0.10.21", "licence", str(tmp_path / "disk")):
        assert expected in text
    assert not (tmp_path / "disk").exists()


def test_one_failure_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Asset("there", "t", "l", "c", "cache", (WebFile("https://example.org/f", Member("f")),))
    monkeypatch.setitem(ASSETS, "there", there)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "f").write_bytes(b"data")
    assert _run("vitdet", "there") == 1
    captured = capsys.readouterr()
    assert "there: here" in captured.out
    assert "network may not be asked" in captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "expected one of"),
        (["mano", "vitdet", "--from", "file"], "one file serves one asset"),
        (["--from", "file"], "got 0 names"),
    ],
)
def test_wrong_use(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert _run(*words) == 2
    assert message in capsys.readouterr().err


def test_bars_follow_restarts(capsys: pytest.CaptureFixture[str]) -> None:
    with DownloadBars() as bars:
        bars("file", 600_000, 1_000_000)  # an earlier run brought this
        bars("file", 1_000_000, 1_000_000)
        bars("file", 10, 1_000_000)  # begun again
        bars("unpacking file", 5, None)
    text = capsys.readouterr().err
    assert "file" in text
    assert "unpacking file" in text


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _run("--help")
    text: Any = capsys.readouterr().out
    for word in ("examples:", "HAMER_CACHE", "--from", "hamer_demo_data"):
        assert word in text
