"""The learning curve of one or more training runs as a picture, from the curves.csv in their folders.

python tools/draw_learning_curve.py docs/images/built_in_curve.svg logs/train/runs/built_in [a run that continued it ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hamer.evaluation.charts import Chart
from hamer.training.curves import read_curves

ERRORS = {"val/mpjpe": "MPJPE", "val/pa_mpjpe": "PA-MPJPE", "val/pa_mpvpe": "PA-MPVPE"}


def joined(folders: list[Path]) -> dict[str, dict[int, float]]:
    """The curves of runs that follow one another: each begins at the step at which the one before it ended."""
    curves: dict[str, dict[int, float]] = {}
    offset = 0
    for folder in folders:
        run = read_curves(folder / "curves.csv")
        for name, values in run.items():
            curves.setdefault(name, {}).update({offset + step: value for step, value in values.items()})
        offset = max(step for values in curves.values() for step in values)
    return curves


def main() -> None:
    """Draw the errors of the validations over the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="an .svg file")
    parser.add_argument("runs", type=Path, nargs="+", help="folders of training runs, in their order")
    args = parser.parse_args()
    curves = joined(args.runs)
    chart = Chart("Held-back made pictures", x_label="training step", y_label="mm")
    for name, label in ERRORS.items():
        if name in curves:
            steps = sorted(curves[name])
            chart.line(steps, [curves[name][step] for step in steps], label, dots=True)
    args.output.write_text(chart.svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
