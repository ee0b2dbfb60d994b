"""The learning curve of training runs that followed one another, as a picture, and the table of their numbers.

    cd docs; python ../tools/draw_learning_curve.py images/built_in_curve.svg model_cards/built_in_curves.csv [--add RUN ...]

The table has the columns run, step, name and value; --add writes the curves.csv of further runs to its end, as the next runs.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from hamer.evaluation.charts import Chart
from hamer.training.curves import read_curves

ERRORS = {"val/mpjpe": "MPJPE", "val/pa_mpjpe": "PA-MPJPE", "val/pa_mpvpe": "PA-MPVPE"}
HEADER = ("run", "step", "name", "value")


def add(table: Path, folders: list[Path]) -> None:
    """Write the curves of runs to the end of the table; one that does not exist begins with the first."""
    runs = [0]
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            runs += [int(row["run"]) for row in csv.DictReader(file)]
    with table.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if len(runs) == 1:
            writer.writerow(HEADER)
        for number, folder in enumerate(folders, max(runs) + 1):
            curves = read_curves(folder / "curves.csv")
            rows = sorted((step, name, value) for name, values in curves.items() for step, value in values.items())
            writer.writerows((number, step, name, f"{value:.7g}") for step, name, value in rows)


def joined(table: Path) -> dict[str, dict[int, float]]:
    """The table's curves, one run after the other: each begins at the step at which the one before it ended."""
    curves: dict[str, dict[int, float]] = {}
    run, offset, last = 1, 0, 0
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if int(row["run"]) != run:
                run, offset = int(row["run"]), last
            last = max(last, offset + int(row["step"]))
            curves.setdefault(row["name"], {})[offset + int(row["step"])] = float(row["value"])
    return curves


def main() -> None:
    """Draw the errors of the validations over the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="an .svg file")
    parser.add_argument("table", type=Path, help="a .csv file of runs in their order")
    parser.add_argument(
        "--add", type=Path, nargs="+", default=[], help="folders of training runs, to write to the table"
    )
    args = parser.parse_args()
    if args.add:
        add(args.table, args.add)
    curves = joined(args.table)
    chart = Chart("Held-back made pictures", x_label="training step", y_label="mm")
    for name, label in ERRORS.items():
        if name in curves:
            steps = sorted(curves[name])
            chart.line(steps, [curves[name][step] for step in steps], label, dots=True)
    args.output.write_text(chart.svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
