"""The learning rate over a training: a function of the number of updates alone, so that a continued run goes on exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

ScheduleKind = Literal["constant", "cosine", "cooldown"]
_KEYS = ("KIND", "WARMUP", "FINAL", "UPDATES", "COOLDOWN")


@dataclass(frozen=True)
class Schedule:
    """What `TRAIN.LR` is multiplied by (`TRAIN.SCHEDULE`: KIND, WARMUP, FINAL, UPDATES, COOLDOWN).

    Attributes:
        kind: "constant"; "cosine" (Loshchilov and Hutter, "SGDR", 2017), half a period without restarts; "cooldown", constant
            until the last `cooldown` of the updates, then linear (Hägele et al., "Scaling Laws and Compute-Optimal Training
            Beyond Fixed Training Durations", 2024): its end may be moved while it runs.
        warmup: updates during which the rate rises linearly from 0.
        final: share of the rate that is left at the end.
        updates: of the network, until the end; afterwards the rate stays.
        cooldown: share of the updates.
    """

    kind: ScheduleKind = "constant"
    warmup: int = 0
    final: float = 0.0
    updates: int = 0
    cooldown: float = 0.2

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScheduleKind):
            raise ValueError(
                f"TRAIN.SCHEDULE.KIND must be one of {', '.join(get_args(ScheduleKind))}, got {self.kind!r}"
            )
        if self.warmup < 0 or not 0 <= self.final <= 1 or not 0 < self.cooldown <= 1:
            raise ValueError(
                "TRAIN.SCHEDULE must have WARMUP of at least 0, FINAL in [0, 1] and COOLDOWN in (0, 1], got "
                f"{self.warmup}, {self.final}, {self.cooldown}"
            )
        if self.kind != "constant" and self.updates <= self.warmup:
            raise ValueError(
                f"TRAIN.SCHEDULE.UPDATES (or GENERAL.TOTAL_STEPS) must exceed WARMUP {self.warmup}, got {self.updates} updates"
            )

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any], *, steps_per_update: int) -> Schedule:
        """Read `TRAIN.SCHEDULE`; without UPDATES the end is that of GENERAL.TOTAL_STEPS.

        Args:
            cfg: the configuration tree.
            steps_per_update: of the optimisers (2 with a discriminator).

        Raises:
            ValueError: a key that is not known, or a value that makes no sense.
        """
        given = cfg.get("TRAIN", {}).get("SCHEDULE") or {}
        unknown = sorted(set(given) - set(_KEYS))
        if unknown:
            raise ValueError(f"TRAIN.SCHEDULE.{unknown[0]} is not known; known are {', '.join(_KEYS)}")
        values = {key.lower(): value for key, value in given.items() if value is not None}
        if "updates" not in values:
            values["updates"] = int(cfg.get("GENERAL", {}).get("TOTAL_STEPS", 0)) // steps_per_update
        return cls(**values)

    @property
    def is_constant(self) -> bool:
        """Whether the rate never changes."""
        return self.kind == "constant" and self.warmup == 0

    def factor(self, update: int) -> float:
        """For the update with this number, counted from 0."""
        if update < self.warmup:
            return (update + 1) / (self.warmup + 1)
        if self.kind == "constant":
            return 1.0
        end = max(self.updates - 1, 1)
        if self.kind == "cosine":
            done = min(1.0, (update - self.warmup) / max(end - self.warmup, 1))
            return self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2
        length = self.cooldown * end
        done = min(1.0, max(0.0, (update - (end - length)) / length))
        return self.final + (1 - self.final) * (1 - done)
