"""The learning rate over a training: its values, what is refused, and that it follows updates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from lightning.pytorch import Callback

from hamer.training.options import TrainingOptions
from hamer.training.schedule import Schedule

WEIGHTS = {"KEYPOINTS_2D": 0.01}


def test_constant_is_constant() -> None:
    schedule = Schedule()
    assert schedule.is_constant
    assert {schedule.factor(n) for n in (0, 1, 10**6)} == {1.0}
    assert not Schedule("constant", warmup=3).is_constant


@pytest.mark.parametrize("kind", ["constant", "cosine", "cooldown"])
def test_warmup_rises_in_equal_steps(kind: Any) -> None:
    schedule = Schedule(kind, warmup=4, updates=50, final=0.1)
    assert [schedule.factor(n) for n in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert schedule.factor(4) == 1.0


def test_cosine() -> None:
    schedule = Schedule("cosine", warmup=10, updates=111, final=0.2)
    assert schedule.factor(60) == pytest.approx(0.6)  # half way: the mean of 1 and 0.2
    assert schedule.factor(35) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert schedule.factor(110) == pytest.approx(0.2)
    assert schedule.factor(5000) == pytest.approx(0.2)
    values = [schedule.factor(n) for n in range(10, 111)]
    assert values == sorted(values, reverse=True)


def test_cooldown() -> None:
    schedule = Schedule("cooldown", updates=101, final=0.0, cooldown=0.2)
    assert {schedule.factor(n) for n in range(81)} == {1.0}
    assert schedule.factor(90) == pytest.approx(0.5)
    assert schedule.factor(100) == 0.0
    longer = Schedule("cooldown", updates=201, final=0.0, cooldown=0.2)
    assert longer.factor(90) == 1.0  # the end may be moved before it begins


def test_the_end_is_that_of_the_run() -> None:
    cfg = {
        "TRAIN": {"SCHEDULE": {"KIND": "cosine", "WARMUP": 2}},
        "GENERAL": {"TOTAL_STEPS": 100},
        "LOSS_WEIGHTS": WEIGHTS,
    }
    assert TrainingOptions.from_cfg(cfg).schedule.updates == 100
    with_adversary = {**cfg, "LOSS_WEIGHTS": {**WEIGHTS, "ADVERSARIAL": 0.1}}
    assert TrainingOptions.from_cfg(with_adversary).schedule.updates == 50  # two steps an update
    own = {**cfg, "TRAIN": {"SCHEDULE": {"KIND": "cosine", "UPDATES": 30}}}
    assert TrainingOptions.from_cfg(own).schedule.updates == 30
    assert TrainingOptions.from_cfg({"LOSS_WEIGHTS": WEIGHTS}).schedule.is_constant


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"KIND": "exponential"}, "KIND must be one of"),
        ({"KIND": "cosine", "WARMUP": 100}, "must exceed WARMUP"),
        ({"KIND": "cosine", "FINAL": 1.5}, r"FINAL in \[0, 1\]"),
        ({"WARM_UP": 3}, "WARM_UP is not known"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], told: str) -> None:
    cfg = {"TRAIN": {"SCHEDULE": values}, "GENERAL": {"TOTAL_STEPS": 100}}
    with pytest.raises(ValueError, match=told):
        Schedule.from_cfg(cfg, steps_per_update=1)


class Rates(Callback):
    """The rate of every optimiser at its updates."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.seen.append(optimizer.param_groups[0]["lr"])


def test_both_optimisers_follow_it(
    golden_module: Callable[..., Any], golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    schedule = {"KIND": "cosine", "WARMUP": 1, "UPDATES": 4, "FINAL": 0.0}
    module, rates = golden_module({"TRAIN": {"LR": 0.01, "SCHEDULE": schedule}}), Rates()
    trainer(max_steps=6, callbacks=[rates]).fit(module, repeated(golden_batch, 3))
    factors = [module.options.schedule.factor(n) for n in range(3)]
    assert factors[0] == 0.5
    assert rates.seen == pytest.approx([0.01 * factor for factor in factors for _ in range(2)])
