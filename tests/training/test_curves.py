"""Curves as a table: written at once, read back, rewritten from where a run continues."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="training needs the extra: pip install 'hamer[train]'")

from hamer.training.curves import CurvesLogger, read_curves


def test_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "run" / "curves.csv"
    curves = CurvesLogger(path)
    curves.log_metrics({"train/loss": 2.5}, step=50)
    curves.log_metrics({"val/loss": 1.25, "val/pa_mpjpe": 12.5}, step=50)
    curves.log_metrics({"train/loss": 1e-9}, step=100)
    expected = {"train/loss": {50: 2.5, 100: 1e-9}, "val/loss": {50: 1.25}, "val/pa_mpjpe": {50: 12.5}}
    assert read_curves(path) == expected
    assert path.read_text().splitlines()[:2] == ["step,name,value", "50,train/loss,2.5"]


def test_a_continued_run_writes_its_steps_anew(tmp_path: Path) -> None:
    path, first = tmp_path / "curves.csv", CurvesLogger(tmp_path / "curves.csv")
    for step in (10, 20, 30):
        first.log_metrics({"train/loss": float(step)}, step=step)
    with path.open("a") as file:
        file.write("40,train/lo")  # killed in the middle of a row
    second = CurvesLogger(path)
    second.log_metrics({"train/loss": 0.5}, step=20)
    second.log_metrics({"train/loss": 0.25}, step=30)
    assert read_curves(path) == {"train/loss": {10: 10.0, 20: 0.5, 30: 0.25}}
    assert [file.name for file in tmp_path.iterdir()] == ["curves.csv"]
