"""F-score of two point clouds without correspondence, as FreiHAND's and HO-3D's programs compute it. NumPy, in parallel.

Recall is the share of true points with a predicted point nearer than the threshold, precision the same the other way
round, F their harmonic mean. Only neighbours within the largest threshold matter, so both clouds are sorted along the
axis in which they are longest and every point looks at the few inside its window: exact, and faster for a hand's 778
vertices than a tree, which takes longer to build than the window to search (benchmarks/scoring.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float

from hamer.compiling import jit, numba

THRESHOLDS = (0.005, 0.015)
"""Metres; the public programs' two."""

_PART = 32  # pairs that a thread takes at a time

Clouds = Float[np.ndarray, "*batch n_points 3"]


@jit
def _window_sweep(a: np.ndarray, b: np.ndarray, limit: float, near_b: np.ndarray) -> None:
    """Lower `near_b` (M,) to the squared distances of pairs whose first rows differ by `limit` or less.

    Args:
        a, b: (3, N) and (3, M), sorted by their first row.
    """
    first, last, count = 0, 0, b.shape[1]
    for i in range(a.shape[1]):
        x, y, z = a[0, i], a[1, i], a[2, i]
        while first < count and b[0, first] < x - limit:
            first += 1
        while last < count and b[0, last] <= x + limit:
            last += 1
        bx, by, bz, near = b[0, first:last], b[1, first:last], b[2, first:last], near_b[first:last]
        for j in range(len(near)):  # no sum or minimum runs along j, so that eight pairs are computed at a time
            dx, dy, dz = bx[j] - x, by[j] - y, bz[j] - z
            squared = dx * dx + dy * dy + dz * dz
            near[j] = squared if squared < near[j] else near[j]


@jit
def _sweep_all(a: np.ndarray, b: np.ndarray, limit: float, near_a: np.ndarray, near_b: np.ndarray) -> None:
    """`_window_sweep` of every pair of clouds, both ways."""
    for n in range(len(a)):
        _window_sweep(a[n], b[n], limit, near_b[n])
        _window_sweep(b[n], a[n], limit, near_a[n])


def _sorted_rows(points: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(B, N, 3) points as (B, 3, N) rows in ascending order of coordinate `axis` (B,), which becomes the first row."""
    columns = (axis[:, None] + np.arange(3)) % 3
    rows = np.take_along_axis(points.transpose(0, 2, 1), columns[:, :, None], axis=1)
    return np.take_along_axis(rows, np.argsort(rows[:, 0], axis=-1)[:, None, :], axis=2)


def nearest_reference(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each point of `a` (B, N, 3) to the nearest of `b` (B, M, 3), and the other way round: all pairs."""
    squared = [np.square(p[:, None, :] - q[None, :, :]).sum(-1) for p, q in zip(a, b, strict=True)]
    return np.sqrt([s.min(1) for s in squared]), np.sqrt([s.min(0) for s in squared])


def nearest_within(a: np.ndarray, b: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """The same for distances up to `limit` (larger ones may come out as infinity), points of a cloud in any order."""
    if numba is None:
        return nearest_reference(a, b)
    near_a, near_b = np.full(a.shape[:2], np.inf), np.full(b.shape[:2], np.inf)
    axis = np.ptp(b, axis=1).argmax(-1)
    # A little more than the limit: rounding must not hide a point that lies exactly there.
    _sweep_all(_sorted_rows(a, axis), _sorted_rows(b, axis), limit * (1 + 1e-9), near_a, near_b)
    return np.sqrt(near_a), np.sqrt(near_b)


def f_score(
    prediction: Clouds,
    truth: Clouds,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    threads: int | None = None,
) -> Float[np.ndarray, "*batch n_thresholds"]:
    """F of each pair of clouds at each threshold, 0 to 1; clouds may differ in their number of points.

    Args:
        prediction, truth: in the unit of `thresholds`; a point counts when it is nearer than the threshold.
        threads: default one a core.

    Raises:
        ValueError: leading dimensions that differ, empty clouds, numbers that are not finite.
    """
    prediction, truth = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    _check(prediction, truth, thresholds)
    batch = prediction.shape[:-2]
    prediction, truth = prediction.reshape(-1, *prediction.shape[-2:]), truth.reshape(-1, *truth.shape[-2:])
    parts = [slice(i, i + _PART) for i in range(0, len(truth), _PART)]

    def part_scores(part: slice) -> np.ndarray:
        return _f_of(*nearest_within(prediction[part], truth[part], max(thresholds)), thresholds)

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        scores = list(pool.map(part_scores, parts))
    return np.concatenate(scores or [np.zeros((0, len(thresholds)))]).reshape(*batch, len(thresholds))


def _f_of(to_truth: np.ndarray, to_prediction: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """F (B, T) from the distances of predicted points (B, N) and of true points (B, M)."""
    precision = np.stack([(to_truth < t).mean(-1) for t in thresholds], -1)
    recall = np.stack([(to_prediction < t).mean(-1) for t in thresholds], -1)
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)


def _check(prediction: np.ndarray, truth: np.ndarray, thresholds: Sequence[float]) -> None:
    for name, cloud in (("prediction", prediction), ("truth", truth)):
        if cloud.ndim < 2 or cloud.shape[-1] != 3 or cloud.shape[-2] == 0:
            raise ValueError(
                f"f_score: {name} must have shape (..., points, 3) with at least one point, got {cloud.shape}"
            )
        if not np.isfinite(cloud).all():
            raise ValueError(f"f_score: {name} must hold finite numbers, got NaN or infinity")
    if prediction.shape[:-2] != truth.shape[:-2]:
        raise ValueError(f"f_score: leading dimensions must agree, got {prediction.shape[:-2]} and {truth.shape[:-2]}")
    if not thresholds or min(thresholds) <= 0:
        raise ValueError(f"f_score: thresholds must be positive distances, got {tuple(thresholds)}")
