"""The open edge of a hand mesh at the wrist: its loop of vertices, and which way the arm goes on.

Letters: L vertices of the loop, V vertices of the hand. Metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.skin.unwrapping import hand_uv
from hamer.hand_models.arrays import HandModelArrays

_known: dict[bytes, Wrist] = {}


@dataclass(frozen=True)
class Wrist:
    """The boundary of `faces`, in the order of its edges, seen in the rest pose.

    loop (L,) vertex numbers; near (n,) vertices around the wrist that move with it as one; rest (n, 3) their rest
    places; outward (L, 3) rest directions in which the skin leaves the loop; uv (L, 2) of the loop in `hand_uv`;
    dorsal (L,) -1 palm .. 1 back around the loop.
    """

    loop: np.ndarray
    near: np.ndarray
    rest: np.ndarray
    outward: np.ndarray
    uv: np.ndarray
    dorsal: np.ndarray

    @classmethod
    def of(cls, arrays: HandModelArrays) -> Wrist:
        """Find the loop; kept for the life of the process.

        Raises:
            ValueError: the mesh has no open edge (pass `faces` without the closing `wrist_faces`).
        """
        key = arrays.v_template.tobytes() + arrays.faces.tobytes()
        if key not in _known:
            _known[key] = cls._find(arrays)
        return _known[key]

    @classmethod
    def _find(cls, arrays: HandModelArrays) -> Wrist:
        loop, owners = boundary_loop(arrays.faces)
        vertices = np.asarray(arrays.v_template, np.float64)
        reach = vertices[loop, 0].min() - 0.03
        near = np.flatnonzero((arrays.lbs_weights[:, 0] > 0.9) & (vertices[:, 0] > reach))
        uv, uv_faces = hand_uv(arrays)
        uv_of = np.zeros((len(vertices), 2))
        uv_of[arrays.faces.ravel()] = uv[uv_faces.ravel()]
        offset = vertices[loop] - vertices[loop].mean(axis=0)
        dorsal = offset[:, 1] / np.linalg.norm(offset[:, 1:], axis=1)
        outward = _conormals(vertices, loop, arrays.faces[owners])
        return cls(loop, near, vertices[near], outward, uv_of[loop], dorsal)

    def motion(self, hand_vertices: np.ndarray) -> np.ndarray:
        """The rotation (3, 3) from the rest pose to a posed hand (V, 3) at the wrist (Kabsch 1976)."""
        posed = np.asarray(hand_vertices, np.float64)[self.near]
        u, _, vt = np.linalg.svd((posed - posed.mean(axis=0)).T @ (self.rest - self.rest.mean(axis=0)))
        return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt


def boundary_loop(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The longest loop (L,) of edges that only one face has, and that face (L,) for the edge from each vertex on.

    Raises:
        ValueError: the mesh is closed.
    """
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, number, counts = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    open_edges = np.flatnonzero(counts[number.ravel()] == 1)
    following = {int(a): (int(b), int(e) // 3) for (a, b), e in zip(edges[open_edges], open_edges, strict=True)}
    if not following:
        raise ValueError("faces must leave the wrist open for an arm to begin there, got a closed mesh")
    loops = []
    while following:
        vertex = next(iter(following))
        loop = []
        while vertex in following:
            after, face = following.pop(vertex)
            loop.append((vertex, face))
            vertex = after
        loops.append(loop)
    longest = np.array(max(loops, key=len))
    return longest[:, 0], longest[:, 1]


def _conormals(vertices: np.ndarray, loop: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Where the surface would go on (L, 3): in the plane of the last faces, square to the edge, averaged at vertices."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    edge = np.roll(vertices[loop], -1, axis=0) - vertices[loop]
    outward = np.cross(edge, normal)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    mean = outward + np.roll(outward, 1, axis=0)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)
