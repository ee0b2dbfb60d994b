"""Samples that could not be used: counted by reason, across worker processes, and told once a reason."""

from __future__ import annotations

import logging

import torch

logger = logging.getLogger(__name__)

REASONS = (
    "damaged tar",
    "incomplete sample",
    "unreadable annotation",
    "unsafe annotation",
    "unreadable picture",
    "unreadable mask",
    "wrong annotation",
    "no usable crop",
)
"""Why a sample (of "damaged tar": the rest of a file) is left out. What the filters leave out is no fault and not counted."""

MAX_WORKERS = 256


class SkipCounts:
    """A table of counts in shared memory, one row a worker, so that no lock is needed and the main process reads along.

    It travels to workers of either start method (fork, spawn) with the data set that holds it.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._table = torch.zeros(MAX_WORKERS, len(REASONS), dtype=torch.int64).share_memory_()

    def add(self, reason: str, where: str, detail: object = "") -> None:
        """One sample more for `reason`; the first of each is logged with where it was and what was wrong."""
        column = self._table[:, REASONS.index(reason)]
        level = logging.DEBUG if bool(column.any()) else logging.WARNING
        column[worker_row()] += 1
        logger.log(level, "%s: skipped %s (%s): %s", self.name or "training data", where, reason, detail)

    def totals(self) -> dict[str, int]:
        """Reason to count, of all workers; only reasons that occurred."""
        sums = self._table.sum(dim=0).tolist()
        return {reason: int(count) for reason, count in zip(REASONS, sums, strict=True) if count}

    def summary(self) -> str:
        """The totals as a sentence's part: "3 skipped (2 unreadable picture, 1 damaged tar)"; empty for none."""
        totals = self.totals()
        parts = ", ".join(f"{count} {reason}" for reason, count in totals.items())
        return f"{sum(totals.values())} skipped ({parts})" if totals else ""


def worker_row() -> int:
    """The number of this loader worker, counted from 1; 0 in the main process."""
    info = torch.utils.data.get_worker_info()
    return 0 if info is None else (info.id + 1) % MAX_WORKERS
