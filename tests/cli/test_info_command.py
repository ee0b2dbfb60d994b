"""`hamer info`: where the weights are, and what fetches those that are not here."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from hamer.assets.places import ORIGINAL_FILES
from hamer.cli.info import run


def test_weights_that_are_here_and_not_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HAMER_DATA", raising=False)
    here = tmp_path / "_DATA" / ORIGINAL_FILES["regnety"]
    here.parent.mkdir(parents=True)
    here.touch()
    assert run(argparse.Namespace()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"regnety: {here}" in lines
    for name in ("hamer_checkpoint", "mano", "vitdet", "vitpose"):
        assert f"{name}: not here (hamer fetch {name})" in lines
