"""Is one checkpoint better than another, or was it luck of the pictures? Bootstrap intervals, paired by hand.

Hands, or groups of them such as all of one video, are drawn with replacement; both evaluations are computed from the same
draw, so that what makes a picture hard cancels out. Efron and Tibshirani, "An introduction to the bootstrap", 1993.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from hamer.evaluation.auc import area
from hamer.evaluation.pck import PAPER_THRESHOLDS
from hamer.evaluation.results import EvaluationResult

_METRES = 1e-3
_AT_ONCE = 2_000_000  # numbers of draws held at a time: 16 MB


@dataclass(frozen=True)
class Figure:
    """A metric of one evaluation with the range in which it lies at the stated level: `value`, `low`, `high`.

    `hands`: how many it rests on.
    """

    metric: str
    value: float
    low: float
    high: float
    hands: int


@dataclass(frozen=True)
class Difference:
    """A metric of two evaluations on the hands of both; `difference` is second minus first, with its interval.

    Attributes:
        left_out: hands that lack the metric, or where it is infinite, in one of both.
        better: "first" or "second" if the interval leaves no doubt, else None.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    hands: int
    left_out: int
    better: Literal["first", "second"] | None


@dataclass(frozen=True)
class _Columns:
    """A metric as values (N, K), NaN where unknown: the mean over K of the means over hands."""

    name: str
    values: np.ndarray
    higher_is_better: bool = False


def intervals(
    result: EvaluationResult,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> list[Figure]:
    """Every metric that `result` has labels for, with its bootstrap interval.

    Args:
        groups: (N,) what is drawn together, e.g. the video of each hand; by default each hand by itself.
        level: of the interval.
        draws: how many times hands are drawn.
        seed: the same seed gives the same interval.
    """
    _check(level, draws)
    found = []
    for columns in _metrics(result):
        known = np.isfinite(columns.values).any(1)
        if not known.any():
            continue
        sums, counts = _by_group(columns.values[known], _group_numbers(groups, known))
        drawn = np.concatenate([_means(w @ sums, w @ counts) for w in _weights(len(sums), draws, seed)])
        low, high = _range(drawn, level)
        value = float(_means(sums.sum(0)[None], counts.sum(0)[None])[0])
        found.append(Figure(columns.name, value, low, high, int(known.sum())))
    return found


def compare(
    first: EvaluationResult,
    second: EvaluationResult,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> list[Difference]:
    """Every metric that both have, on the hands (by `ids`) of both.

    Args:
        groups: (N,) for the hands of `first`; the other arguments as in `intervals`.

    Raises:
        ValueError: ids that are not unique, or none in common.
    """
    _check(level, draws)
    rows_first, rows_second = _common(first.ids, second.ids)
    groups = None if groups is None else np.asarray(groups)[rows_first]
    found = []
    for a, b in zip(_metrics(first[rows_first]), _metrics(second[rows_second]), strict=True):
        both = np.isfinite(a.values) & np.isfinite(b.values)
        known = both.any(1)
        if not known.any():
            continue
        numbers = _group_numbers(groups, known)
        sums_a, counts = _by_group(np.where(both, a.values, np.nan)[known], numbers)
        sums_b, _ = _by_group(np.where(both, b.values, np.nan)[known], numbers)
        drawn = [
            _means(w @ sums_b, w @ counts) - _means(w @ sums_a, w @ counts) for w in _weights(len(counts), draws, seed)
        ]
        low, high = _range(np.concatenate(drawn), level)
        value_a, value_b = (float(_means(s.sum(0)[None], counts.sum(0)[None])[0]) for s in (sums_a, sums_b))
        either = ~(np.isnan(a.values) & np.isnan(b.values)).all(1)
        found.append(
            Difference(
                metric=a.name,
                first=value_a,
                second=value_b,
                difference=value_b - value_a,
                low=low,
                high=high,
                hands=int(known.sum()),
                left_out=int((either & ~known).sum()),
                better=_better(low, high, a.higher_is_better),
            )
        )
    return found


def _metrics(result: EvaluationResult) -> list[_Columns]:
    """What is compared, under the names of `EvaluationSummary`."""
    per_hand = {
        "mpjpe": _hand_means(result.joint_error_root),
        "pa_mpjpe": _hand_means(result.joint_error_proper),
        "pa_mpjpe_reflecting": _hand_means(result.joint_error_reflecting),
        "mpvpe": result.vertex_error_root,
        "pa_mpvpe": result.vertex_error_proper,
        "pa_mpvpe_reflecting": result.vertex_error_reflecting,
    }
    shares = {
        "auc_pa": area(torch.from_numpy(result.joint_error_proper * _METRES)).numpy(),
        "auc_mesh_pa": result.vertex_auc_proper,
        "f_5": result.f_score_proper[:, 0],
        "f_15": result.f_score_proper[:, 1],
    }
    visible = ~np.isnan(result.keypoint_error)
    for threshold in PAPER_THRESHOLDS:
        shares[f"pck_{threshold}"] = np.where(visible, result.keypoint_error < threshold, np.nan)
    columns = [_Columns(name, values.reshape(len(result), -1)) for name, values in per_hand.items()]
    return columns + [_Columns(name, values.reshape(len(result), -1), True) for name, values in shares.items()]


def _hand_means(errors: np.ndarray) -> np.ndarray:
    labelled = ~np.isnan(errors)
    count = labelled.sum(1)
    return np.where(count > 0, np.where(labelled, errors, 0.0).sum(1) / np.maximum(count, 1), np.nan)


def _by_group(values: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts (G, K) of what is known."""
    known = np.isfinite(values)
    sums, counts = (np.zeros((numbers.max() + 1, values.shape[1])) for _ in range(2))
    np.add.at(sums, numbers, np.where(known, values, 0.0))
    np.add.at(counts, numbers, known)
    return sums, counts


def _group_numbers(groups: Sequence[str] | np.ndarray | None, known: np.ndarray) -> np.ndarray:
    if groups is None:
        return np.arange(int(known.sum()))
    if len(groups) != len(known):
        raise ValueError(f"groups must name one group for each of the {len(known)} hands, got {len(groups)}")
    return np.unique(np.asarray(groups)[known], return_inverse=True)[1]


def _weights(n_groups: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """(some draws, G): how often each group was drawn; the same for every metric with as many groups."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // n_groups)
    for start in range(0, draws, at_once):
        yield rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=min(at_once, draws - start)).astype(
            np.float64
        )


def _means(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(D,) means over columns of sums / counts (D, K); columns that a draw has nothing of are left out."""
    known = counts > 0
    ratios = np.divide(sums, counts, out=np.zeros_like(sums), where=known)
    return ratios.sum(1) / np.maximum(known.sum(1), 1)


def _range(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def _better(low: float, high: float, higher_is_better: bool) -> Literal["first", "second"] | None:
    if low <= 0 <= high:
        return None
    return "second" if (low > 0) == higher_is_better else "first"


def _common(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the ids that both have, in the order of `first`."""
    for name, ids in (("first", first), ("second", second)):
        unique, count = np.unique(ids, return_counts=True)
        if (count > 1).any():
            raise ValueError(
                f"compare: ids must be unique, but {name} has {str(unique[count.argmax()])!r} {count.max()} times"
            )
    where = {name: row for row, name in enumerate(second)}
    rows = [row for row, name in enumerate(first) if name in where]
    if not rows:
        raise ValueError("compare: the evaluations have no hand in common; ids must be the same for the same hand")
    return np.array(rows), np.array([where[first[row]] for row in rows])


def _check(level: float, draws: int) -> None:
    if not 0 < level < 1 or draws < 1:
        raise ValueError(
            f"bootstrap: level must be between 0 and 1 and draws 1 or more, got level {level} and draws {draws}"
        )
