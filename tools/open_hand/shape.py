"""Betas: principal components of the made-up population, and the joint regressor that follows them."""

from __future__ import annotations

import numpy as np

N_BETAS = 10
STUB_WEIGHT = 0.2
"""How much the forearm's vertices count in the components: betas should describe hands."""


def components(vertices: np.ndarray, joints: np.ndarray, wrist_x: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shape directions of vertices (V, 3, 10) and joints (16, 3, 10) per unit normal beta, and explained shares (10,).

    vertices (S, V, 3) and joints (S, 16, 3): people at rest, the first is the mean adult, from whom directions start.
    Components are ordered by variance; the first grows with size, the signs of the others make the palm wider
    (or the fingers longer) for positive values.
    """
    weight = np.where(vertices[0, :, 0] > wrist_x, STUB_WEIGHT, 1.0)[:, None]
    offsets = vertices - vertices.mean(0)
    weighted = (offsets * weight).reshape(len(vertices), -1)
    values, vectors = np.linalg.eigh(weighted @ weighted.T)  # people are fewer than coordinates
    order = np.argsort(values)[::-1][:N_BETAS]
    scores = vectors[:, order] * np.sqrt(len(vertices))  # unit variance over the people
    vertex_dirs = np.einsum("sk,svc->vck", scores, offsets) / len(vertices)
    joint_dirs = np.einsum("sk,sjc->jck", scores, joints - joints.mean(0)) / len(vertices)
    signs = _signs(joint_dirs)
    return vertex_dirs * signs, joint_dirs * signs, values[order] / values.sum()


def _signs(joint_dirs: np.ndarray) -> np.ndarray:
    """+1 or -1 per component so that the summed change of finger and palm lengths is positive."""
    middle = -(joint_dirs[6, 0] - joint_dirs[0, 0])  # wrist to middle3, along -x
    width = joint_dirs[1, 2] - joint_dirs[7, 2]  # index knuckle to little knuckle, along z
    return np.where(middle + width < 0, -1.0, 1.0)


def joint_regressor(
    template: np.ndarray, vertex_dirs: np.ndarray, joints: np.ndarray, joint_dirs: np.ndarray, nearest: int = 48
) -> np.ndarray:
    """Sparse rows (16, V) that add up to 1 and place the joints for every beta.

    Each row is the smallest set of weights (least squares, ridge) on the `nearest` vertices around a joint which gives
    its place in the mean hand and its change with each of the betas.
    """
    rows = np.zeros((len(joints), len(template)))
    for j, joint in enumerate(joints):
        near = np.argsort(np.linalg.norm(template - joint, axis=1))[:nearest]
        # equations: places (3), changes at one deviation of each beta (3 x 10), the sum; the sum and places count most
        a = np.concatenate([template[near].T - joint[:, None], vertex_dirs[near].reshape(nearest, -1).T])
        b = np.concatenate([np.zeros(3), joint_dirs[j].reshape(-1)])
        importance = np.concatenate([np.full(3, 100.0), np.full(len(b) - 3, 1.0)])
        rows[j, near] = _constrained(a * importance[:, None], b * importance, ridge=1e-4)
    return rows


def _constrained(a: np.ndarray, b: np.ndarray, ridge: float) -> np.ndarray:
    """Weights w with sum 1 that minimise |a w - b|^2 + ridge^2 |w|^2 (Lagrange multiplier for the sum)."""
    n = a.shape[1]
    system = np.zeros((n + 1, n + 1))
    system[:n, :n] = a.T @ a + ridge**2 * np.eye(n)
    system[:n, n] = system[n, :n] = 1.0
    return np.linalg.solve(system, np.concatenate([a.T @ b, [1.0]]))[:n]
