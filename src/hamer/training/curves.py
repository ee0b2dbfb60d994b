"""Learning curves as a table: what TensorBoard gets, in a csv file that anything reads.

One value a row, `step,name,value`, so that a run may come to log other names. A run that continues from an earlier
checkpoint writes its steps anew: what the file has from there on is dropped first.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamer.errors import require

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger
else:
    Logger = require("lightning.pytorch.loggers", extra="train", purpose="training").Logger

HEADER = ("step", "name", "value")


class CurvesLogger(Logger):
    """Lightning's logger into `path`; every call is written at once, by the first process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._last_step: int | None = None

    @property
    def name(self) -> str:
        """Of this kind of logger."""
        return "curves"

    @property
    def version(self) -> str:
        """One a run."""
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: the configuration lies beside."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row a value."""
        from lightning.pytorch.utilities import rank_zero_only

        if getattr(rank_zero_only, "rank", 0) == 0:
            self._write(metrics, 0 if step is None else int(step))

    def _write(self, metrics: Mapping[str, float], step: int) -> None:
        if self._last_step is None:
            _keep_before(self.path, step)
        self._last_step = step
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((step, name, f"{float(value):.7g}") for name, value in metrics.items())


def read_curves(path: str | Path) -> dict[str, dict[int, float]]:
    """Name -> step -> value of a `curves.csv`."""
    curves: dict[str, dict[int, float]] = {}
    with Path(path).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            curves.setdefault(row["name"], {})[int(row["step"])] = float(row["value"])
    return curves


def _keep_before(path: Path, step: int) -> None:
    """Leave the rows before `step`; make the file where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            # A run that was killed may have left half a row.
            rows = [tuple(row) for row in csv.reader(file) if len(row) == 3 and row[0].isdigit() and int(row[0]) < step]
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])
    partial.replace(path)
