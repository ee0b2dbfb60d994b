"""Random states that travel, batches that are kept, and progress that is told."""

from __future__ import annotations

import io
import logging
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lightning", reason="training needs the extra: pip install 'hamer[train]'")

from hamer.training.callbacks import FailedBatch, RandomState, flat_arrays
from hamer.training.checkpointing import SafeCheckpointIO
from hamer.training.progress import TrainingProgress


def drawn() -> tuple[float, float, float]:
    return float(torch.rand(())), random.random(), float(np.random.rand())  # noqa: NPY002


def test_random_states_go_through_a_file(tmp_path: Path) -> None:
    """Written and read as a checkpoint is: nothing but tensors and containers."""
    io = SafeCheckpointIO()
    io.save_checkpoint(
        {"state_dict": {}, "callbacks": {"RandomState": RandomState().state_dict()}}, tmp_path / "a.ckpt"
    )
    expected = drawn()
    continued: Any = RandomState()
    continued.load_state_dict(io.load_checkpoint(tmp_path / "a.ckpt")["callbacks"]["RandomState"])
    assert drawn() != expected
    continued.on_train_batch_start(SimpleNamespace(global_rank=0), None, None, 0)
    assert drawn() == expected
    continued.on_train_batch_start(SimpleNamespace(global_rank=0), None, None, 1)  # only once
    assert drawn() != expected


def test_each_process_takes_its_row() -> None:
    own = RandomState().state_dict()
    expected = drawn()
    stacked = {name: torch.cat([torch.zeros_like(value), value]) for name, value in own.items()}
    continued: Any = RandomState()
    continued.load_state_dict(stacked)
    continued.on_train_batch_start(SimpleNamespace(global_rank=1), None, None, 0)
    assert drawn() == expected


def test_a_process_more_draws_its_own_numbers(caplog: pytest.LogCaptureFixture) -> None:
    continued: Any = RandomState()
    continued.load_state_dict(RandomState().state_dict())
    before = torch.get_rng_state()
    continued.on_train_batch_start(SimpleNamespace(global_rank=1), None, None, 0)
    assert torch.get_rng_state().equal(before)
    assert "1 processes" in caplog.text


def test_the_broken_batch_is_kept_whole(tmp_path: Path) -> None:
    batch = {
        "img": {
            "img": torch.ones(2, 3, 4, 4, dtype=torch.bfloat16),
            "mano_params": {"betas": torch.arange(3.0)},
            "imgname": ["a.jpg", "b.jpg"],
            "other": object(),
        },
        "mocap": {"hand_pose": torch.zeros(4, 45)},
    }
    keeper: Any = FailedBatch(tmp_path / "new")
    trainer = SimpleNamespace(global_step=12, global_rank=1)
    keeper.on_exception(trainer, SimpleNamespace(failed_batch=None), RuntimeError())
    assert keeper.path is None
    keeper.on_exception(trainer, SimpleNamespace(failed_batch=batch), RuntimeError())
    assert keeper.path.name == "failed_batch_step=12_rank=1.npz"
    with np.load(keeper.path) as stored:  # refuses objects: everything must be plain
        assert stored["img.img"].dtype == np.float32
        assert stored["img.mano_params.betas"].tolist() == [0, 1, 2]
        assert stored["img.imgname"].tolist() == ["a.jpg", "b.jpg"]
        assert set(stored.files) == set(flat_arrays(batch))


def test_a_place_that_cannot_be_written_hides_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    keeper: Any = FailedBatch(tmp_path / "file")
    keeper.on_exception(SimpleNamespace(global_step=0, global_rank=0), SimpleNamespace(failed_batch={}), RuntimeError())
    assert keeper.path is None
    assert "could not be written" in caplog.text


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def follow(progress: Any, *, steps: int) -> None:
    trainer = SimpleNamespace(is_global_zero=True, global_step=4, max_steps=steps)
    progress.on_train_start(trainer, None)
    for number in range((steps - 4) // 2):
        trainer.global_step += 2
        progress.on_train_batch_end(trainer, None, {"losses": {"loss": torch.tensor(0.25)}}, None, number)
    progress.on_train_end(trainer, None)


def test_a_bar_on_a_terminal() -> None:
    stream = _Terminal()
    follow(TrainingProgress(stream=stream), steps=24)
    assert "24/24" in stream.getvalue()
    assert "loss 0.25" in stream.getvalue()


def test_lines_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="hamer.training"):
        follow(TrainingProgress(log_steps=10, stream=io.StringIO()), steps=24)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in lines] == ["step 10 of 24", "step 20 of 24"]
    assert all("steps/s" in line and "to go" in line and "loss 0.25" in line for line in lines)
