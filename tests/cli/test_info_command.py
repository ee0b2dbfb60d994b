"""`hamer info`: where the weights are, and what fetches those that are not here."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

import hamer.weights
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


def test_the_built_in_network_is_listed_with_its_hash_and_card(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hamer.weights, "FOLDER", tmp_path)
    assert run(argparse.Namespace()) == 0
    assert "built-in network: not in this copy" in capsys.readouterr().out
    (tmp_path / hamer.weights.FILE).write_bytes(b"abc")
    assert run(argparse.Namespace()) == 0
    said = capsys.readouterr().out
    # FIPS 180-2's own example
    assert "sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" in said
    assert "Apache-2.0, card: docs/model_cards/built_in.md" in said
    assert (Path(__file__).resolve().parents[2] / hamer.weights.CARD).is_file()
