"""Lines drawn on skin: distance from a curve, smooth curves through points, soft edges."""

from __future__ import annotations

import numpy as np


def to_curve(points: np.ndarray, curve: np.ndarray, within: float = 0.008) -> tuple[np.ndarray, np.ndarray]:
    """Distance (M,) of points (M, 2) from a polyline (n, 2), and the place 0..1 (M,) along it of the closest point.

    Points farther than `within` from the polyline's box are not measured: infinite distance, place 0.
    """
    distance, place = np.full(len(points), np.inf), np.zeros(len(points))
    inside = (points >= curve.min(axis=0) - within) & (points <= curve.max(axis=0) + within)
    near = np.flatnonzero(inside[:, 0] & inside[:, 1])
    chosen = points[near]
    best, best_place = distance[near], place[near]
    steps = len(curve) - 1
    for i in range(steps):
        edge = curve[i + 1] - curve[i]
        local = chosen - curve[i]
        t = np.clip(local @ edge / max(edge @ edge, 1e-16), 0, 1)
        gap = np.hypot(local[:, 0] - t * edge[0], local[:, 1] - t * edge[1])
        closer = gap < best
        best[closer], best_place[closer] = gap[closer], (i + t[closer]) / steps
    distance[near], place[near] = best, best_place
    return distance, place


def spline(points: np.ndarray, count: int) -> np.ndarray:
    """A smooth polyline (count, 2) through points (n, 2) (Catmull-Rom)."""
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    u = np.linspace(0, len(points) - 1 - 1e-9, count)
    i, t = u.astype(int), (u % 1)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def bell(distance: np.ndarray, width: float) -> np.ndarray:
    """1 on a line, falling to 0 over about twice `width` (same unit as distance)."""
    return np.exp(-((distance / width) ** 2))


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 at `low` and before, 1 at `high` and after, smooth between; `low` may be the larger one."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
