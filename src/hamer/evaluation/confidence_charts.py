"""Reliability of scores, drawn: error by score, and risk against coverage."""

from __future__ import annotations

import numpy as np

from hamer.evaluation.charts import Chart, side_by_side
from hamer.evaluation.confidence import Reliability

_POINTS = 200  # of a curve: more would not be seen


def error_by_score(found: Reliability, *, error: str = "error", score: str = "score") -> Chart:
    """Mean error and its quartiles over the bins of the score.

    Args:
        error, score: names of the axes, with units.
    """
    number = "undefined" if found.rank_correlation is None else f"{found.rank_correlation:+.2f}"
    chart = Chart(f"{found.hands} hands, rank correlation {number}", x_label=score, y_label=error)
    x = [b.mean_score for b in found.bins]
    chart.band(
        x, [b.error_quartiles[0] for b in found.bins], [b.error_quartiles[2] for b in found.bins], "half of the hands"
    )
    chart.line(x, [b.mean_error for b in found.bins], "mean", dots=True)
    return chart


def risk_by_coverage(found: Reliability, *, error: str = "error") -> Chart:
    """Mean error of the surest hands for every share of hands kept, between the best and no information."""
    skill = "" if found.skill is None else f", {found.skill:.0%} of the possible gain"
    chart = Chart(f"error of the surest hands{skill}", x_label="share of hands kept", y_label=error, x_range=(0, 1))
    rows = np.unique(np.linspace(0, found.hands - 1, min(_POINTS, found.hands)).astype(int))
    coverage = found.coverage[rows]
    chart.line(coverage, found.risk[rows], "by score")
    chart.line(coverage, found.ideal_risk[rows], "by true error", dashed=True)
    chart.line([0, 1], [found.mean_error] * 2, "by chance", dashed=True)
    return chart


def reliability_svg(found: Reliability, *, error: str = "error", score: str = "score") -> str:
    """Both charts beside each other, one SVG document."""
    return side_by_side([error_by_score(found, error=error, score=score), risk_by_coverage(found, error=error)])
