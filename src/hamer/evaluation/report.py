"""`report.html`: everything that an evaluation found on one page that needs no network and no other file."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from hamer.evaluation.cases import Case
from hamer.evaluation.charts import Chart
from hamer.evaluation.comparison import Difference
from hamer.evaluation.confidence import ErrorKind, reliability_of
from hamer.evaluation.confidence_charts import reliability_svg
from hamer.evaluation.outcomes import SetOutcome
from hamer.evaluation.pck import mean_pck
from hamer.evaluation.published import published_for
from hamer.evaluation.report_tables import METRICS, cell, comparison_table, figure_table, table
from hamer.export.files import write_atomic
from hamer.hand_models.joints import JOINT_NAMES

REPORT_NAME = "report.html"
_FEWEST_FOR_RELIABILITY = 12
_CURVE = tuple(i / 200 for i in range(61))

_STYLE = """
:root{color-scheme:light}
body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:1120px;margin:0 auto;padding:24px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:40px 0 8px;border-bottom:2px solid #0072b2;padding-bottom:4px}
h3{font-size:16px;margin:20px 0 6px}p{max-width:75ch;margin:6px 0}small,.quiet{color:#666}
table{border-collapse:collapse;margin:10px 0;font-variant-numeric:tabular-nums}
th,td{padding:4px 8px;font-size:14px;text-align:right;border-bottom:1px solid #ddd}th{font-weight:600;background:#f4f6f8}
th:first-child,td:first-child{text-align:left}td:first-child{white-space:nowrap}tr.published td{color:#666;font-style:italic}
tr.best td{background:#eef7ee}.scroll{overflow-x:auto}
.charts,.cases{display:flex;flex-wrap:wrap;gap:12px}figure{margin:0}figcaption{font-size:12px;color:#555;max-width:448px}
.cases img{display:block;width:336px;height:168px;border:1px solid #ccc}
.error{background:#fff3e8;border-left:4px solid #d55e00;padding:8px 12px;max-width:none}
.note{background:#eef4fa;border-left:4px solid #0072b2;padding:8px 12px;max-width:none}
@media print{h2{break-before:page}}
"""


def write_report(
    folder: str | Path,
    outcomes: Sequence[SetOutcome],
    known: Sequence[Mapping[str, Any]] = (),
    comparisons: Mapping[str, Sequence[Difference]] | None = None,
) -> Path:
    """Write the page into `folder`.

    Args:
        outcomes: of this run, shown in full.
        known: all runs in the folder (`outcomes.read_record`), shown as lines of the tables.
        comparisons: set to what `compare` found between two models.
    """
    return write_atomic(Path(folder) / REPORT_NAME, page(outcomes, known, comparisons or {}).encode("utf-8"))


def page(
    outcomes: Sequence[SetOutcome],
    known: Sequence[Mapping[str, Any]] = (),
    comparisons: Mapping[str, Sequence[Difference]] | None = None,
) -> str:
    """The page as text; the arguments of `write_report`."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Evaluation of hands</title>",
        "<meta name='viewport' content='width=device-width'>",
        f"<style>{_STYLE}</style></head><body>",
        "<h1>Evaluation of hands in 3D</h1>",
        f"<p class='quiet'>{_when_and_where(outcomes)}</p>",
    ]
    errors = dict.fromkeys((o.name, o.error) for o in outcomes if o.error)
    parts += [f"<p class='error'><b>{escape(name)}</b>: {escape(str(error))}</p>" for name, error in errors]
    parts += ["<h2>Figures</h2>", _legend(), *_all_tables(outcomes, known)]
    for name, differences in (comparisons or {}).items():
        parts += [f"<h2>{escape(name)}</h2>", comparison_table(differences)]
    parts += [section(outcome) for outcome in outcomes if len(outcome.result)]
    parts.append(_sources(outcomes))
    return "\n".join([*parts, "</body></html>\n"])


def section(outcome: SetOutcome) -> str:
    """One set: counts, curves, joints, sources, reliability, pictures, times."""
    result = outcome.result
    summary = result.summary()
    parts = [
        f"<h2>{escape(outcome.name)} <small>{escape(outcome.model)}, {_mode(outcome)}</small></h2>",
        f"<p>{summary.hands} hands: {summary.hands_3d} with 3D joints, {summary.hands_mesh} with a mesh, "
        f"{summary.hands_2d} with 2D keypoints{_missed(outcome)}.</p>",
        *(f"<p class='note'>{escape(note)}</p>" for note in outcome.notes),
        *_detection(outcome),
        f"<div class='charts'>{''.join(_inline(c.svg()) for c in _charts(outcome))}</div>",
        *_by_source(outcome),
        *_reliability(outcome),
        *_pictures(outcome.cases),
        *_times(outcome),
    ]
    return "\n".join(parts)


def _when_and_where(outcomes: Sequence[SetOutcome]) -> str:
    models = list(
        dict.fromkeys(o.exp_name if o.exp_name == o.checkpoint else f"{o.exp_name} ({o.checkpoint})" for o in outcomes)
    )
    stamp = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
    return escape(f"{stamp}, {platform.machine()} {platform.system()}; {'; '.join(models)}")


def _mode(outcome: SetOutcome) -> str:
    return "with the annotated boxes" if outcome.mode == "boxes" else "hands searched in whole pictures"


def _missed(outcome: SetOutcome) -> str:
    missed = int((~outcome.result.found).sum())
    if not missed:
        return ""
    return f"; {missed} were not found: they count as misses in PCK and have no 3D error"


def _legend() -> str:
    return (
        "<p>Lengths in mm. MPJPE is relative to the wrist; PA: after Procrustes alignment by rotation, scale and translation. "
        "† allows a reflection too, as the public programs of FreiHAND and HO-3D do, whose figures papers print. PCK: share of "
        "visible keypoints within that part of the box's side, mean over joints. Lines in italics are printed in papers; "
        "their sources stand at the end.</p>"
    )


def _all_tables(outcomes: Sequence[SetOutcome], known: Sequence[Mapping[str, Any]]) -> list[str]:
    runs = {(o.name, o.key): o.as_dict() for o in outcomes if len(o.result)}
    earlier = {(str(r["name"]), str(r["key"])): r for r in known}
    names = list(dict.fromkeys([name for name, _ in runs] + [name for name, _ in earlier]))
    parts = []
    for name in names:
        rows = [r for (n, _), r in (earlier | runs).items() if n == name]
        parts += [f"<h3>{escape(name)}</h3>", figure_table(rows, published_for(name))]
    return parts


def _charts(outcome: SetOutcome) -> list[Chart]:
    result, charts = outcome.result, []
    if (~np.isnan(result.keypoint_error)).any():
        charts.append(_pck_chart(outcome))
    labelled = ~np.isnan(result.joint_error_proper) & np.isfinite(result.joint_error_proper)
    if labelled.any():
        errors = np.where(labelled, result.joint_error_proper, 0.0).sum(0) / np.maximum(labelled.sum(0), 1)
        chart = Chart("error by joint, aligned", x_label="", y_label="mm")
        chart.bars(JOINT_NAMES, np.where(labelled.any(0), errors, np.nan))
        charts.append(chart)
    else:
        seen = ~np.isnan(result.keypoint_error)
        if seen.any():
            median = [
                float(np.median(result.keypoint_error[seen[:, j], j])) if seen[:, j].any() else np.nan
                for j in range(21)
            ]
            chart = Chart("2D error by joint, median", x_label="", y_label="% of the box's side")
            chart.bars(JOINT_NAMES, 100 * np.asarray(median))
            charts.append(chart)
    return charts


def _pck_chart(outcome: SetOutcome) -> Chart:
    chart = Chart(
        "PCK", x_label="threshold, in sides of the box", y_label="share of keypoints", x_range=(0, 0.3), y_range=(0, 1)
    )
    result = outcome.result
    chart.line(_CURVE, mean_pck(result.keypoint_error, _CURVE), "all hands")
    sides = [("right", result.is_right), ("left", ~result.is_right)]
    if all(rows.any() for _, rows in sides):
        for label, rows in sides:
            chart.line(_CURVE, mean_pck(result[rows].keypoint_error, _CURVE), label, dashed=True)
    if not result.found.all() and result.found.any():
        chart.line(_CURVE, mean_pck(result[result.found].keypoint_error, _CURVE), "found hands only", dashed=True)
    return chart


def _detection(outcome: SetOutcome) -> list[str]:
    found = outcome.detection
    if found is None:
        return []
    rows = [
        ["hands found (recall)", f"{found.found} of {found.hands}", cell(found.recall, "share")],
        [
            "of the hands given, matched (precision)", f"{found.predicted - found.false_positives} of {found.predicted}",
            cell(found.precision, "share"),
        ],
        ["sides right, of matched hands", f"{found.sides_right} of {found.sides_known}", cell(found.side_accuracy, "share")],
    ]  # fmt: skip
    return [
        table(["detector", "count", "share"], rows),
        "<p class='quiet'>A hand is found when the box around its joints overlaps the annotated one. Pictures may show hands "
        "that nobody annotated; those lower the precision here.</p>",
    ]


def _by_source(outcome: SetOutcome) -> list[str]:
    sources = outcome.as_dict()["by_source"]
    if not sources:
        return []
    rows = []
    for name, figures in sources.items():
        pck = [cell(figures["pck_pooled"].get(t), "share") for t in ("0.05", "0.1", "0.15")]
        found, counts = figures["detection"], ["", "", ""]
        if found is not None:
            shares = (f"{found['found']} of {found['hands']}", f"{found['sides_right']} of {found['sides_known']}")
            counts = [*shares, str(found["false_positives"])]
        rows.append([escape(name), str(figures["hands"]), *counts, cell(figures["pa_mpjpe"], "mm"), *pck])
    head = ["source", "hands", "found", "sides right", "unmatched", "PA-MPJPE", "PCK@.05", "@.1", "@.15"]
    return [
        "<h3>By source</h3>", table(head, rows),
        "<p class='quiet'>Here PCK is over all visible keypoints of a source together.</p>",
    ]  # fmt: skip


def _reliability(outcome: SetOutcome) -> list[str]:
    result = outcome.result
    kind: ErrorKind = "joint_error_proper"
    if (~np.isnan(result.joint_error_proper)).any(1).sum() < _FEWEST_FOR_RELIABILITY:
        kind = "keypoint_error"
    errors = getattr(result, kind)
    both = np.isfinite(result.scores) & ~np.isinf(errors).any(1) & ~np.isnan(errors).all(1)
    if both.sum() < _FEWEST_FOR_RELIABILITY or len(np.unique(result.scores[both])) < 2:
        return []
    found = reliability_of(result, kind, bins=min(10, int(both.sum()) // 4))
    unit = "PA-MPJPE, mm" if kind == "joint_error_proper" else "2D error, sides of the box"
    return ["<h3>Does a low score mean a high error?</h3>", _inline(reliability_svg(found, error=unit, score="score"))]


def _pictures(cases: Sequence[Case]) -> list[str]:
    titles = {"worst": "Worst hands", "median": "Hands in the middle", "missed": "Hands that were not found"}
    parts = []
    for kind, title in titles.items():
        chosen = [c for c in cases if c.kind == kind]
        if chosen:
            figures = "".join(_figure(c) for c in chosen)
            parts += [f"<h3>{title}</h3>", f"<div class='cases'>{figures}</div>"]
    if parts:
        parts.append("<p class='quiet'>Left: the annotated keypoints. Right: the prediction.</p>")
    return parts


def _figure(case: Case) -> str:
    told = "not found" if not np.isfinite(case.error) else f"{case.error:.1f} {case.unit}"
    return (
        f"<figure><img alt='{escape(case.id, quote=True)}' src='data:image/jpeg;base64,{case.jpeg}'>"
        f"<figcaption>{escape(case.id)}: {escape(told)}</figcaption></figure>"
    )


def _times(outcome: SetOutcome) -> list[str]:
    rows = []
    if outcome.latency is not None and outcome.latency.per_hand is not None:
        latency = outcome.latency
        what = "network, forward pass" if latency.what == "network" else "reading, finding and estimating"
        rows.append([what, f"{latency.hands} hands", f"{1000 * latency.seconds / latency.hands:.1f} ms a hand"])
        if latency.pictures:
            rows.append(
                ["", f"{latency.pictures} pictures", f"{1000 * latency.seconds / latency.pictures:.1f} ms a picture"]
            )
    if len(outcome.result):
        per_thousand = 1000 * outcome.scoring_seconds / len(outcome.result)
        rows.append(["scoring", f"{len(outcome.result)} hands", f"{per_thousand:.2f} s a thousand hands"])
    return ["<h3>Time</h3>", table(["what", "of", "time"], rows)] if rows else []


def _sources(outcomes: Sequence[SetOutcome]) -> str:
    names_of_sets = dict.fromkeys(o.name for o in outcomes)
    items = "".join(
        f"<li>{escape(e.method)} on {escape(e.set)}: {escape(e.source)}</li>"
        for name in names_of_sets
        for e in published_for(name)
    )
    names = ", ".join(f"{escape(label)} = <code>{escape(name)}</code>" for name, label, _ in METRICS)
    listed = f"<h3>Published figures</h3><ul>{items}</ul>" if items else ""
    return f"<h2>Sources and names</h2>{listed}<p class='quiet'>Columns by their names in the files: {names}.</p>"


def _inline(svg: str) -> str:
    """An SVG document inside HTML, where the namespace is known."""
    return svg.replace(' xmlns="http://www.w3.org/2000/svg"', "")
