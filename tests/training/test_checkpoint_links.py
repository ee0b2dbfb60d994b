"""One write for two names, and two where links cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="training needs the extra: pip install 'hamer[train]'")

from hamer.training.checkpoint_links import LinkingCheckpointIO


def content(step: int) -> dict[str, object]:
    return {"state_dict": {}, "global_step": step}


def step_of(path: Path) -> int:
    return int(LinkingCheckpointIO(path).load_checkpoint(path)["global_step"])


def test_the_same_step_is_linked(tmp_path: Path) -> None:
    last, first, second = tmp_path / "last.ckpt", tmp_path / "step=4.ckpt", tmp_path / "step=8.ckpt"
    io = LinkingCheckpointIO(last)
    for step, path in ((4, first), (8, second)):
        io.save_checkpoint(content(step), path)
        io.save_checkpoint(content(step), last)
        assert last.samefile(path)
    assert (step_of(first), step_of(last)) == (4, 8)
    io.save_checkpoint(content(10), last)  # between checkpoints: a file of its own
    assert (step_of(second), step_of(last)) == (8, 10)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.ckpt", "step=4.ckpt", "step=8.ckpt"]


def test_no_links_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    io = LinkingCheckpointIO(tmp_path / "last.ckpt")
    io.save_checkpoint(content(4), tmp_path / "step=4.ckpt")
    io.save_checkpoint(content(4), tmp_path / "last.ckpt")
    assert step_of(tmp_path / "last.ckpt") == 4
    assert not (tmp_path / "last.ckpt").samefile(tmp_path / "step=4.ckpt")


def test_a_file_that_is_gone_is_written_again(tmp_path: Path) -> None:
    io = LinkingCheckpointIO(tmp_path / "last.ckpt")
    io.save_checkpoint(content(4), tmp_path / "step=4.ckpt")
    io.remove_checkpoint(tmp_path / "step=4.ckpt")
    io.save_checkpoint(content(4), tmp_path / "last.ckpt")
    assert step_of(tmp_path / "last.ckpt") == 4
