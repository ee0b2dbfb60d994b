"""Topology of the mesh: the rim of the wrist and the faces that close it."""

from __future__ import annotations

import numpy as np


def boundary_loop(faces: np.ndarray) -> np.ndarray:
    """Vertices of the one open rim (R,), in the order in which the faces beside it run along it."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    present = {tuple(edge) for edge in edges.tolist()}
    following = {a: b for a, b in present if (b, a) not in present}
    loop = [min(following)]
    while (vertex := following[loop[-1]]) != loop[0]:
        loop.append(vertex)
    if len(loop) != len(following):
        raise ValueError(f"the hand must have one open rim, got {len(following)} open edges and a rim of {len(loop)}")
    return np.array(loop)


def closing_faces(loop: np.ndarray) -> np.ndarray:
    """Faces (R - 2, 3) that close a rim, wound like the faces beside it: a strip from side to side."""
    faces = []
    left, right = 0, len(loop) - 1
    while right - left > 1:
        faces.append([loop[left + 1], loop[left], loop[right]])
        left += 1
        if right - left > 1:
            faces.append([loop[left], loop[right], loop[right - 1]])
            right -= 1
    return np.array(faces)


def smooth(values: np.ndarray, faces: np.ndarray, steps: int, rate: float = 0.5) -> np.ndarray:
    """Values (V, C) moved towards their neighbours' mean, `steps` times."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    degree = np.bincount(edges[:, 0], minlength=len(values))[:, None]
    for _ in range(steps):
        total = np.zeros_like(values)
        np.add.at(total, edges[:, 0], values[edges[:, 1]])
        values = values + rate * (total / degree - values)
    return values
