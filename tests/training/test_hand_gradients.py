"""Limits of each hand's gradient that make no sense; what a limit does is tested with the head."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hamer.training.options import TrainingOptions


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_limit_that_stops_all_learning_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"HAND_GRAD_CLIP_VAL must be above 0"):
        TrainingOptions(hand_grad_clip_val=value)


def test_scaled_gradients_cannot_be_limited(golden_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = golden_module({"TRAIN": {"HAND_GRAD_CLIP_VAL": 20.0}})
    monkeypatch.setattr(type(module), "_gradient_scaler", lambda self: SimpleNamespace())
    with pytest.raises(ValueError, match=r"HAND_GRAD_CLIP_VAL must be left out with trainer.precision=16-mixed"):
        module.configure_optimizers()
