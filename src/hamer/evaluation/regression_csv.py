"""The files that the original's evaluation leaves: a table to which every run appends, and predictions as json."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hamer.assets.locking import locked

CSV_NAME = "eval_regression.csv"
COLUMNS = ("timestamp", "checkpoint_path", "exp_name", "dataset", "metric_name", "metric_value", "error", "iters_done")
_WAIT = 60.0  # seconds for another process that is writing


def default_exp_name(checkpoint: str | Path) -> str:
    """The folder two above a checkpoint, as the original names a run; the checkpoint's own name if there is none."""
    path = Path(checkpoint)
    return path.parent.parent.name or path.stem


def append_rows(
    folder: str | Path,
    metrics: Mapping[str, float | None],
    *,
    checkpoint: str | Path,
    dataset: str,
    exp_name: str | None = None,
    error: str | None = None,
    iters_done: int = 0,
) -> Path:
    """Append a row for each metric to `eval_regression.csv` in `folder`, whole and under a lock.

    An evaluation that ended without any figure leaves one row without a metric if it has an error to tell.

    Args:
        metrics: name to value; None is left empty.
        exp_name: None for the name of the folder above the checkpoint's.
        iters_done: index of the last batch, as the original writes it.
    """
    path = Path(folder) / CSV_NAME
    stamp = str(datetime.datetime.now())
    name = exp_name or default_exp_name(checkpoint)
    figures: list[tuple[str, float | None]] = list(metrics.items())
    if error is not None and not figures:
        figures = [("", None)]
    rows = [
        (
            stamp,
            str(checkpoint),
            name,
            dataset,
            metric,
            "" if value is None else repr(float(value)),
            error or "",
            iters_done,
        )
        for metric, value in figures
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with locked(path.with_name(CSV_NAME + ".lock"), timeout=_WAIT, poll=0.05):
        is_new = not path.exists() or path.stat().st_size == 0
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write((",".join(COLUMNS) + "\n" if is_new else "") + text.getvalue())
    return path


def write_predictions(folder: str | Path, dataset: str, joints: np.ndarray, vertices: np.ndarray) -> Path:
    """`<dataset>.json` in lower case: [joints, vertices], each hand a list of [x, y, z], for the public programs.

    Args:
        joints: (N, 21, 3) metres, in the order that the set wants. vertices: (N, V, 3).
    """
    path = Path(folder) / f"{dataset.lower()}.json"
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="ascii") as file:  # hand by hand: all at once would take gigabytes
            for opening, points in (("[[", joints), ("], [", vertices)):
                file.write(opening)
                for i, hand in enumerate(np.asarray(points, np.float32)):
                    file.write((", " if i else "") + json.dumps(hand.tolist()))
            file.write("]]")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
