"""Tables of the report: figures of runs beside those of papers, and comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

from hamer.evaluation.comparison import Difference
from hamer.evaluation.published import Published

Unit = Literal["mm", "share", "number"]

METRICS: tuple[tuple[str, str, Unit], ...] = (
    ("pa_mpjpe", "PA-MPJPE", "mm"),
    ("pa_mpjpe_reflecting", "PA-MPJPE†", "mm"),
    ("mpjpe", "MPJPE", "mm"),
    ("pa_mpvpe", "PA-MPVPE", "mm"),
    ("pa_mpvpe_reflecting", "PA-MPVPE†", "mm"),
    ("auc_pa_reflecting", "AUC J†", "share"),
    ("auc_mesh_pa_reflecting", "AUC V†", "share"),
    ("f_5_reflecting", "F@5†", "share"),
    ("f_15_reflecting", "F@15†", "share"),
    ("pck_0.05", "PCK@.05", "share"),
    ("pck_0.1", "PCK@.1", "share"),
    ("pck_0.15", "PCK@.15", "share"),
    ("kpl2", "kpl2", "number"),
    ("recall", "recall", "share"),
    ("precision", "precision", "share"),
    ("side_accuracy", "side", "share"),
)
"""Columns: name in the files, heading, unit."""


_COMPARED = {"mpvpe": "MPVPE", "auc_pa": "AUC J", "auc_mesh_pa": "AUC V", "f_5": "F@5", "f_15": "F@15"}
_FEW = 30


def cell(value: Any, unit: Unit) -> str:
    """A figure with the digits that papers print; a dash where there is none."""
    if value is None or value == "":
        return "&ndash;"
    number = float(value)
    if math.isnan(number):
        return "&ndash;"
    if math.isinf(number):
        return "infinite"
    return {"mm": f"{number:.2f}", "share": f"{number:.3f}", "number": f"{number:.4f}"}[unit]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] | None = None) -> str:
    """A table; cells are HTML already, headings are not."""
    heading = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join(
        f"<tr class='{escape(name)}'>{''.join(f'<td>{c}</td>' for c in row)}</tr>"
        for row, name in zip(rows, classes or [""] * len(rows), strict=True)
    )
    return f"<div class='scroll'><table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table></div>"


def figure_table(runs: Sequence[Mapping[str, Any]], papers: Sequence[Published]) -> str:
    """Runs (as in `evaluation.json`) and papers, a line each; columns that nobody has are left out."""
    shown = [
        (name, label, unit)
        for name, label, unit in METRICS
        if any(run["summary"].get(name) is not None for run in runs) or any(name in p.figures for p in papers)
    ]
    rows, classes = [], []
    for run in runs:
        label = f"{escape(str(run['exp_name']))}<br><small>{escape(str(run['model']))}</small>"
        figures = [cell(run["summary"].get(name), unit) for name, _, unit in shown]
        rows.append([label, str(run["summary"].get("hands", "")), *figures])
        classes.append("")
    for paper in papers:
        rows.append([f"{escape(paper.method)}, paper", "", *(cell(paper.figures.get(n), unit) for n, _, unit in shown)])
        classes.append("published")
    return table(["", "hands", *(label for _, label, _ in shown)], rows, classes)


def comparison_table(differences: Sequence[Difference]) -> str:
    """Metrics of two models on the same hands, with the interval of their difference."""
    units = {name: unit for name, _, unit in METRICS}
    labels = {name: label for name, label, _ in METRICS} | _COMPARED
    rows = []
    for d in differences:
        unit: Unit = units.get(d.metric, "mm" if "mp" in d.metric else "share")
        interval = f"{cell(d.low, unit)} &hellip; {cell(d.high, unit)}"
        verdict = "no difference shown" if d.better is None else f"{d.better} is better"
        name = escape(labels.get(d.metric, d.metric))
        rows.append(
            [name, cell(d.first, unit), cell(d.second, unit), cell(d.difference, unit), interval, str(d.hands), verdict]
        )
    fewest = min((d.hands for d in differences), default=0)
    few = f" {fewest} hands are few: their intervals come out too narrow." if fewest < _FEW else ""
    head = ["metric", "first", "second", "difference", "95 % interval", "hands", ""]
    return table(head, rows) + f"<p class='quiet'>Paired bootstrap over hands: both from the same draws.{few}</p>"
