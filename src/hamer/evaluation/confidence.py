"""Does a low score mean a high error? What a hand's score says about how far the hand is wrong.

Three views of the same pairs (score, error): error by bins of the score; the rank correlation; and risk against coverage,
the mean error of the surest hands for every share of hands that is kept (Geifman and El-Yaniv, "Selective classification
for deep neural networks", 2017). All are data; `charts` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from hamer.evaluation.results import EvaluationResult

ErrorKind = Literal["joint_error_proper", "joint_error_root", "joint_error_reflecting", "joint_error", "keypoint_error"]


@dataclass(frozen=True)
class ScoreBin:
    """Hands whose scores lie in one range: their number, mean score, and mean, quartiles of the error."""

    lowest: float
    highest: float
    hands: int
    mean_score: float
    mean_error: float
    error_quartiles: tuple[float, float, float]


@dataclass(frozen=True)
class Reliability:
    """How scores and errors of N hands go together. Errors in the unit that they came in.

    Attributes:
        hands: how many have both; left_out: how many lack one, or have an error that is not finite.
        bins: from the least sure to the surest.
        rank_correlation: Spearman's, -1 where the order of scores is the reverse of the order of errors (as it should be),
            0 where scores say nothing; None where all scores, or all errors, are equal.
        rank_correlation_interval: where it lies at 95 % (Bonett and Wright, Psychometrika 2000); None below 4 hands.
        coverage: (N,) shares of hands kept, rising to 1.
        risk: (N,) mean error of the hands kept, the surest first; hands of equal score count as in random order.
        ideal_risk: (N,) the same if the scores knew the errors.
        mean_error: of all hands.
    """

    hands: int
    left_out: int
    bins: tuple[ScoreBin, ...]
    rank_correlation: float | None
    rank_correlation_interval: tuple[float, float] | None
    coverage: np.ndarray
    risk: np.ndarray
    ideal_risk: np.ndarray
    mean_error: float

    @property
    def area(self) -> float:
        """Mean of `risk` over all coverages (AURC): lower is better, `mean_error` if scores say nothing."""
        return float(self.risk.mean())

    @property
    def ideal_area(self) -> float:
        """The lowest that `area` can be."""
        return float(self.ideal_risk.mean())

    @property
    def skill(self) -> float | None:
        """How much of the possible gain the scores bring: 1 all, 0 none, below 0 worse than throwing dice."""
        possible = self.mean_error - self.ideal_area
        return (self.mean_error - self.area) / possible if possible > 0 else None

    def risk_at(self, coverage: float) -> float:
        """Mean error of the surest `coverage` (above 0, to 1) of the hands."""
        if not 0 < coverage <= 1:
            raise ValueError(f"coverage must be above 0 and at most 1, got {coverage}")
        return float(np.interp(coverage, self.coverage, self.risk))

    def as_dict(self, points: int = 100) -> dict[str, Any]:
        """For json, curves thinned out to `points`."""
        step = np.unique(np.linspace(0, self.hands - 1, min(points, self.hands)).astype(int))
        curves = {name: getattr(self, name)[step].tolist() for name in ("coverage", "risk", "ideal_risk")}
        areas = {"area": self.area, "ideal_area": self.ideal_area, "skill": self.skill}
        return {**asdict(self), **areas, **curves, "bins": [asdict(b) for b in self.bins]}


def reliability(
    scores: Sequence[float] | np.ndarray, errors: Sequence[float] | np.ndarray, *, bins: int = 10
) -> Reliability:
    """Compare scores with errors.

    Args:
        scores: (N,), higher is surer, any unit.
        errors: (N,), lower is better, any unit; one number a hand.
        bins: how many, of about equal numbers of hands; fewer where many scores are equal.

    Raises:
        ValueError: lengths that differ, or no hand that has both.
    """
    score, error = np.asarray(scores, np.float64), np.asarray(errors, np.float64)
    if score.shape != error.shape or score.ndim != 1:
        raise ValueError(f"reliability: scores and errors must be (N,) both, got {score.shape} and {error.shape}")
    if bins < 1:
        raise ValueError(f"reliability: bins must be 1 or more, got {bins}")
    known = np.isfinite(score) & np.isfinite(error)
    if not known.any():
        raise ValueError(f"reliability: none of the {len(score)} hands has a score and a finite error")
    left_out = int((~known).sum())
    score, error = score[known], error[known]
    correlation = _rank_correlation(score, error)
    count = np.arange(1, len(score) + 1)
    return Reliability(
        hands=len(score),
        left_out=left_out,
        bins=tuple(_bins(score, error, bins)),
        rank_correlation=correlation,
        rank_correlation_interval=_interval(correlation, len(score)),
        coverage=count / len(score),
        risk=np.cumsum(_surest_first(score, error)) / count,
        ideal_risk=np.cumsum(np.sort(error)) / count,
        mean_error=float(error.mean()),
    )


def reliability_of(result: EvaluationResult, error: ErrorKind = "joint_error_proper", *, bins: int = 10) -> Reliability:
    """The same for an evaluation: each hand's mean over the joints that have labels."""
    per_joint = getattr(result, error)
    labelled = ~np.isnan(per_joint)
    count = labelled.sum(1)
    sums = np.where(labelled, per_joint, 0.0).sum(1)
    return reliability(result.scores, np.where(count > 0, sums / np.maximum(count, 1), np.nan), bins=bins)


def _bins(scores: np.ndarray, errors: np.ndarray, bins: int) -> list[ScoreBin]:
    """Equal scores stay together: a bin ends at the last hand of its highest score."""
    order = np.argsort(scores, kind="stable")
    scores, errors = scores[order], errors[order]
    wanted = np.linspace(0, len(scores), bins + 1)[1:].round().astype(int)
    ends = np.unique(np.searchsorted(scores, scores[np.maximum(wanted, 1) - 1], side="right"))
    found = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        part = errors[start:end]
        low, middle, high = np.percentile(part, (25, 50, 75))
        found.append(
            ScoreBin(
                lowest=float(scores[start]),
                highest=float(scores[end - 1]),
                hands=int(end - start),
                mean_score=float(scores[start:end].mean()),
                mean_error=float(part.mean()),
                error_quartiles=(float(low), float(middle), float(high)),
            )
        )
    return found


def _surest_first(scores: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Errors by falling score; those of equal scores become their mean, which is what random order expects."""
    _, group, count = np.unique(-scores, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=errors) / count
    return np.repeat(means, count)


def _rank_correlation(scores: np.ndarray, errors: np.ndarray) -> float | None:
    a, b = _ranks(scores), _ranks(errors)
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / spread) if spread > 0 else None


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of theirs."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[group]


def _interval(correlation: float | None, n: int) -> tuple[float, float] | None:
    if correlation is None or n < 4:
        return None
    if abs(correlation) >= 1:
        return correlation, correlation
    half = 1.96 * np.sqrt((1 + correlation**2 / 2) / (n - 3))
    return float(np.tanh(np.arctanh(correlation) - half)), float(np.tanh(np.arctanh(correlation) + half))
