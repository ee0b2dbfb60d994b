"""Fingers that touch but do not pass through one another: posed capsules, their depths, and a small solver.

The numbers of one hand's shape lie in one row (`hamer.datasets.synthetic.hands.capsules` measures it), a pose is the row of
its active anatomical angles (`hamer.fitting.anatomy`). One hand is solved at a time, so that its result is the same to
the bit whatever else is in a batch. The solver minimises, by damped Gauss-Newton steps within the ranges,

    sum ((angle - wanted) / spread)^2 + sum (depth / slack)^2 + sum (distance of a goal / slack)^2

where a goal asks two points of the skin to meet. Segments: 0..14 the bones of the fingers in MANO's order (index,
middle, little, ring, thumb; base to tip), 15..18 the palm below index, middle, little, ring. Metres and radians; the
wrist's frame. What the solver compiles is all in this file, because Numba's
cache on disk looks for changes only in the file of the function that is called; `skinning` borrows `carry` and
`multiply`, which have no reason to change.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hamer.compiling import jit

N_SEGMENTS, THUMB, PALM = 19, 12, 15
# One row of shape: rest joints (15, 3), segments' ends as seen from their joint (19, 2, 3), radii at both ends (19, 2).
JOINTS_AT, ENDS_AT, RADII_AT, ROW = 0, 45, 45 + 114, 45 + 114 + 38
# One row of a goal: segment, place along it 0..1, direction on the skin (radians: 0 pad, pi/2 the thumb's side, pi
# back), for both points; the gap between the two; slack of the distance (m) and of facing each other (1 = 57 degrees).
GOAL = 9
ITERATIONS = 14
DEPTH_SLACK = 0.0005  # metres of depth that weigh as much as one spread of an angle
LONGEST_STEP = 0.25  # radians an angle may turn in one step: the linear model is good for no more


class Bones(NamedTuple):
    """What all shapes of one hand model share, A active angles, P pairs of segments.

    frames (15, 3, 3) anatomical axes as columns; joint_of, axis_of (A,); low, high (A,) ranges; pairs (P, 2) segments
    that may meet; allowed (P,) depth in metres that is soft flesh or webbing.
    """

    frames: np.ndarray
    joint_of: np.ndarray
    axis_of: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pairs: np.ndarray
    allowed: np.ndarray


# Products are written out: Numba's own need SciPy, and compile for seconds.


@jit
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Scalar product of two vectors (3,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@jit
def carry(rotation: np.ndarray, origin: np.ndarray, x: float, y: float, z: float, out: np.ndarray) -> None:
    """out (3,) = origin + rotation (x, y, z)."""
    for i in range(3):
        out[i] = origin[i] + rotation[i, 0] * x + rotation[i, 1] * y + rotation[i, 2] * z


@jit
def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out (3, 3) = a b."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@jit
def _exponential(v: np.ndarray, rotation: np.ndarray, jacobian: np.ndarray) -> None:
    """Rotation of the vector v (3,) and its left Jacobian (Chirikjian, Stochastic Models vol. 2, eq. 10.86)."""
    t2 = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    t = math.sqrt(t2)
    if t < 1e-4:
        a, b, c = 1.0 - t2 / 6, 0.5 - t2 / 24, 1 / 6 - t2 / 120
    else:
        a, b, c = math.sin(t) / t, (1 - math.cos(t)) / t2, (t - math.sin(t)) / (t2 * t)
    for i in range(3):
        for j in range(3):
            outer = v[i] * v[j] - (t2 if i == j else 0.0)
            k = 3 - i - j
            cross = 0.0 if i == j else (-v[k] if (j - i) % 3 == 1 else v[k])
            eye = 1.0 if i == j else 0.0
            rotation[i, j] = eye + a * cross + b * outer
            jacobian[i, j] = eye + b * cross + c * outer


@jit
def pose_bones(
    row: np.ndarray,
    angles: np.ndarray,
    frames: np.ndarray,
    joint_of: np.ndarray,
    axis_of: np.ndarray,
    local: np.ndarray,
    world: np.ndarray,
    pivots: np.ndarray,
    axes: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Pose one hand: fills local, world (15, 3, 3), pivots (15, 3), axes (A, 3) of the angles, ends (19, 2, 3)."""
    full, columns, zero = np.zeros((15, 3)), np.empty((15, 3, 3)), np.zeros(3)
    for a in range(len(angles)):
        full[joint_of[a], axis_of[a]] = angles[a]
    rotation, jacobian, turned = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    identity = np.eye(3)
    for j in range(15):
        q = frames[j]
        _exponential(full[j], rotation, jacobian)
        multiply(q, rotation, turned)
        for r in range(3):
            carry(q, zero, turned[r, 0], turned[r, 1], turned[r, 2], local[j, r])  # rows of q Exp(v) q^T
        base = j % 3 == 0
        before, origin = (identity, zero) if base else (world[j - 1], pivots[j - 1])
        multiply(before, local[j], world[j])
        multiply(q, jacobian, turned)
        multiply(before, turned, columns[j])
        at, last = JOINTS_AT + 3 * j, JOINTS_AT + 3 * j - 3
        x, y, z = row[at], row[at + 1], row[at + 2]
        if not base:
            x, y, z = x - row[last], y - row[last + 1], z - row[last + 2]
        carry(before, origin, x, y, z, pivots[j])
    for a in range(len(angles)):
        for r in range(3):
            axes[a, r] = columns[joint_of[a], r, axis_of[a]]
    for s in range(N_SEGMENTS):
        bone, origin = (identity, zero) if s >= PALM else (world[s], pivots[s])
        for e in range(2):
            at = ENDS_AT + 6 * s + 3 * e
            carry(bone, origin, row[at], row[at + 1], row[at + 2], ends[s, e])


@jit
def _closest(p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Where two segments p, q (2, 3) come nearest, as fractions along each (Ericson, Real-Time Collision, 5.1.9)."""
    a, b, c, e, f = 1e-12, 0.0, 0.0, 1e-12, 0.0
    for k in range(3):
        d1, d2, r = p[1, k] - p[0, k], q[1, k] - q[0, k], p[0, k] - q[0, k]
        a, b, c, e, f = a + d1 * d1, b + d1 * d2, c + d1 * r, e + d2 * d2, f + d2 * r
    determinant = a * e - b * b
    s = min(max((b * f - c * e) / determinant, 0.0), 1.0) if determinant > 1e-12 * a * e else 0.5
    t = (b * s + f) / e
    if t < 0.0:
        t, s = 0.0, min(max(-c / a, 0.0), 1.0)
    elif t > 1.0:
        t, s = 1.0, min(max((b - c) / a, 0.0), 1.0)
    return s, t


@jit
def _touch(row: np.ndarray, ends: np.ndarray, a: int, b: int, normal: np.ndarray) -> tuple[float, float, float]:
    """Depth (m, positive where they overlap) of two segments, the fractions of contact; normal (3,) from b to a."""
    s, t = _closest(ends[a], ends[b])
    ra, rb = RADII_AT + 2 * a, RADII_AT + 2 * b
    for k in range(3):
        normal[k] = ends[a, 0, k] + s * (ends[a, 1, k] - ends[a, 0, k])
        normal[k] -= ends[b, 0, k] + t * (ends[b, 1, k] - ends[b, 0, k])
    distance = math.sqrt(dot(normal, normal)) + 1e-9
    for k in range(3):
        normal[k] /= distance
    radius = row[ra] + s * (row[ra + 1] - row[ra]) + row[rb] + t * (row[rb + 1] - row[rb])
    return radius - distance, s, t


@jit
def _add_point(
    gradient: np.ndarray,
    point: np.ndarray,
    direction: np.ndarray,
    segment: int,
    weight: float,
    joint_of: np.ndarray,
    pivots: np.ndarray,
    axes: np.ndarray,
) -> None:
    """gradient (A,) += weight * d (direction . point) / d angles for a point that moves with a finger's segment."""
    if segment >= PALM:
        return
    first = segment - segment % 3
    for i in range(len(joint_of)):
        j = joint_of[i]
        if first <= j <= segment:
            x, y, z = point[0] - pivots[j, 0], point[1] - pivots[j, 1], point[2] - pivots[j, 2]
            u, v, w = axes[i, 0], axes[i, 1], axes[i, 2]
            gradient[i] += weight * (
                direction[0] * (v * z - w * y) + direction[1] * (w * x - u * z) + direction[2] * (u * y - v * x)
            )


@jit
def _add_direction(
    gradient: np.ndarray,
    direction: np.ndarray,
    k: int,
    segment: int,
    weight: float,
    joint_of: np.ndarray,
    axes: np.ndarray,
) -> None:
    """gradient (A,) += weight * d direction[k] / d angles for a direction that turns with a finger's segment."""
    first, second, third = segment - segment % 3, (k + 1) % 3, (k + 2) % 3
    for i in range(len(joint_of)):
        if first <= joint_of[i] <= segment:
            gradient[i] += weight * (axes[i, second] * direction[third] - axes[i, third] * direction[second])


@jit
def _add_residual(hessian: np.ndarray, slope: np.ndarray, gradient: np.ndarray, residual: float) -> None:
    """Add one residual with its gradient (A,) to the normal equations."""
    for i in range(len(gradient)):
        if gradient[i] != 0.0:
            slope[i] += gradient[i] * residual
            for j in range(i + 1):
                hessian[i, j] += gradient[i] * gradient[j]


@jit
def _skin_point(
    row: np.ndarray,
    ends: np.ndarray,
    world: np.ndarray,
    frames: np.ndarray,
    segment: int,
    along: float,
    roll: float,
    point: np.ndarray,
    normal: np.ndarray,
) -> None:
    """A point (3,) of the skin of a finger's segment and where it faces (3,)."""
    at = RADII_AT + 2 * segment
    radius = row[at] + along * (row[at + 1] - row[at])
    for k in range(3):
        normal[k] = 0.0
        for m in range(3):  # the pad is on the side away from the axis of abduction, the thumb's side along flexion's
            rest = math.sin(roll) * frames[segment, m, 0] - math.cos(roll) * frames[segment, m, 1]
            normal[k] += world[segment, k, m] * rest
        point[k] = ends[segment, 0, k] + along * (ends[segment, 1, k] - ends[segment, 0, k]) + radius * normal[k]


@jit
def _solve(hessian: np.ndarray, slope: np.ndarray) -> None:
    """Solve hessian x = slope in place by Cholesky's factors (lower triangle); x is left in slope."""
    n = len(slope)
    for i in range(n):
        for j in range(i + 1):
            total = hessian[i, j]
            for k in range(j):
                total -= hessian[i, k] * hessian[j, k]
            hessian[i, j] = math.sqrt(max(total, 1e-9)) if i == j else total / hessian[j, j]
    for i in range(n):
        for k in range(i):
            slope[i] -= hessian[i, k] * slope[k]
        slope[i] /= hessian[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            slope[i] -= hessian[k, i] * slope[k]
        slope[i] /= hessian[i, i]


@jit
def _add_overlaps(
    row: np.ndarray,
    ends: np.ndarray,
    pairs: np.ndarray,
    allowed: np.ndarray,
    joint_of: np.ndarray,
    pivots: np.ndarray,
    axes: np.ndarray,
    hessian: np.ndarray,
    slope: np.ndarray,
) -> float:
    """Add every pair that overlaps to the normal equations; the deepest overlap, metres beyond what is allowed."""
    normal, p, q, gradient = np.empty(3), np.empty(3), np.empty(3), np.empty(len(joint_of))
    deepest = 0.0
    for pair in range(len(pairs)):
        a, b = pairs[pair, 0], pairs[pair, 1]
        depth, s, t = _touch(row, ends, a, b, normal)
        depth -= allowed[pair]
        deepest = max(deepest, depth)
        depth += DEPTH_SLACK  # aim a little beyond, so that the end is inside
        if depth <= 0.0:
            continue
        if b >= PALM and a < THUMB:  # a finger leaves the palm the way it came, not through its sides
            normal[0], normal[1], normal[2] = 0.0, -1.0, 0.0
        gradient[:] = 0.0
        for k in range(3):
            p[k] = ends[a, 0, k] + s * (ends[a, 1, k] - ends[a, 0, k])
            q[k] = ends[b, 0, k] + t * (ends[b, 1, k] - ends[b, 0, k])
        _add_point(gradient, p, normal, a, -1.0 / DEPTH_SLACK, joint_of, pivots, axes)
        _add_point(gradient, q, normal, b, 1.0 / DEPTH_SLACK, joint_of, pivots, axes)
        _add_residual(hessian, slope, gradient, depth / DEPTH_SLACK)
    return deepest


@jit
def _add_goals(
    row: np.ndarray,
    ends: np.ndarray,
    world: np.ndarray,
    frames: np.ndarray,
    goals: np.ndarray,
    joint_of: np.ndarray,
    pivots: np.ndarray,
    axes: np.ndarray,
    hessian: np.ndarray,
    slope: np.ndarray,
) -> float:
    """Add the goals to the normal equations: points that meet, skin that faces one another; the farthest miss, metres."""
    p, q, facing_p, facing_q, unit = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    gradient = np.empty(len(joint_of))
    farthest = 0.0
    for g in range(len(goals)):
        a, b = int(goals[g, 0]), int(goals[g, 3])
        _skin_point(row, ends, world, frames, a, goals[g, 1], goals[g, 2], p, facing_p)
        _skin_point(row, ends, world, frames, b, goals[g, 4], goals[g, 5], q, facing_q)
        weight, facing = 1.0 / goals[g, 7], 1.0 / goals[g, 8]
        for k in range(3):
            p[k] += 0.5 * goals[g, 6] * facing_p[k]
            q[k] += 0.5 * goals[g, 6] * facing_q[k]
            unit[k] = p[k] - q[k]
        farthest = max(farthest, math.sqrt(dot(unit, unit)))
        for k in range(3):
            unit[:] = 0.0
            unit[k] = 1.0
            gradient[:] = 0.0
            _add_point(gradient, p, unit, a, weight, joint_of, pivots, axes)
            _add_point(gradient, q, unit, b, -weight, joint_of, pivots, axes)
            _add_residual(hessian, slope, gradient, (p[k] - q[k]) * weight)
            gradient[:] = 0.0
            _add_direction(gradient, facing_p, k, a, facing, joint_of, axes)
            _add_direction(gradient, facing_q, k, b, facing, joint_of, axes)
            _add_residual(hessian, slope, gradient, (facing_p[k] + facing_q[k]) * facing)
    return farthest


@jit
def settle(
    row: np.ndarray,
    wanted: np.ndarray,
    spread: np.ndarray,
    goals: np.ndarray,
    frames: np.ndarray,
    joint_of: np.ndarray,
    axis_of: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    pairs: np.ndarray,
    allowed: np.ndarray,
    local: np.ndarray,
) -> tuple[np.ndarray, float, float]:
    """The possible pose that is nearest to a wanted one: angles (A,), deepest overlap and worst goal, metres.

    `row` (ROW,) the shape; `wanted`, `spread` (A,); `goals` (G, GOAL); then the fields of `Bones`; `local` (15, 3, 3)
    receives the joints' rotations of the result. The overlap is counted beyond what a pair allows.
    """
    n = len(wanted)
    angles = np.empty(n)
    for i in range(n):
        angles[i] = min(max(wanted[i], low[i]), high[i])
    world, pivots = np.empty((15, 3, 3)), np.empty((15, 3))
    axes, ends = np.empty((n, 3)), np.empty((N_SEGMENTS, 2, 3))
    hessian, slope = np.empty((n, n)), np.empty(n)
    deepest, farthest = 0.0, 0.0
    for iteration in range(ITERATIONS + 1):
        pose_bones(row, angles, frames, joint_of, axis_of, local, world, pivots, axes, ends)
        hessian[:] = 0.0
        for i in range(n):
            hessian[i, i] = 1.0 / (spread[i] * spread[i])
            slope[i] = (angles[i] - wanted[i]) * hessian[i, i]
        deepest = _add_overlaps(row, ends, pairs, allowed, joint_of, pivots, axes, hessian, slope)
        farthest = _add_goals(row, ends, world, frames, goals, joint_of, pivots, axes, hessian, slope)
        if iteration == ITERATIONS or (iteration >= 1 and deepest <= 0.0 and farthest < 0.001):
            break
        _solve(hessian, slope)
        for i in range(n):
            step = min(max(slope[i], -LONGEST_STEP), LONGEST_STEP)
            angles[i] = min(max(angles[i] - step, low[i]), high[i])
    return angles, deepest, farthest
