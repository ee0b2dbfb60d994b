"""Texture coordinates that use the whole square: the palm's half and the back's half of a hand, side by side.

A hand model may have no texture coordinates (MANO), or coordinates made for a whole body in which the hand fills one
part in thirty of the square (the open hand's own). Pictures need neither: both halves are flattened here from the
rest pose alone, as rigidly as possible (Liu et al., "A Local/Global Approach to Mesh Parameterization", SGP 2008),
so that every model with MANO's rest axes gets the same layout.

Letters: V vertices, F faces, T texture points, n points and m faces of one half.
"""

from __future__ import annotations

import numpy as np

from hamer.datasets.synthetic.skin.rest_anatomy import RestAnatomy
from hamer.datasets.synthetic.vectors import area_normals
from hamer.hand_models.arrays import HandModelArrays

MARGIN = 0.016
"""Empty border around each half, in square widths: 4 texels of 256, so that filtering does not mix the halves."""

_ROUNDS = 40
_known: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}


def hand_uv(arrays: HandModelArrays) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates uv (T, 2) float32 in 0..1 (u right, v down) and uv_faces (F, 3) int32 for `arrays.faces`.

    The back of the hand fills the left half of the square, the palm the right half, fingers up. Results are kept for
    the life of the process; treat them as read-only.
    """
    key = arrays.v_template.tobytes() + arrays.faces.tobytes()
    if key not in _known:
        _known[key] = _unwrap(arrays)
    return _known[key]


def _unwrap(arrays: HandModelArrays) -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = np.asarray(arrays.v_template, np.float64), arrays.faces
    is_back = _back_faces(arrays)
    uv, uv_faces, start = [], np.zeros((len(faces), 3), np.int32), 0
    for half, of_half in enumerate((is_back, ~is_back)):
        used, local = np.unique(faces[of_half], return_inverse=True)
        flat = _flatten(vertices[used], local.reshape(-1, 3), up_is_back=half == 0)
        uv.append(_packed(flat, half))
        uv_faces[of_half] = local.reshape(-1, 3) + start
        start += len(used)
    result = np.concatenate(uv).astype(np.float32), uv_faces
    for array in result:
        array.setflags(write=False)
    return result


def _back_faces(arrays: HandModelArrays) -> np.ndarray:
    """Which faces (F,) bool belong to the back's half: one connected piece each, cut along the sides of the hand."""
    vertices, faces = np.asarray(arrays.v_template, np.float64), arrays.faces
    smooth = area_normals(vertices, faces)
    for _ in range(3):  # evens out the folds of nails and webs, which would fray the cut
        spread = smooth[faces].sum(axis=1)
        for corner in range(3):
            np.add.at(smooth, faces[:, corner], spread)
        smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-20)
    dorsal = RestAnatomy.of(arrays).vertex_dorsal(arrays.lbs_weights)
    return _one_piece_each((smooth * dorsal).sum(axis=1)[faces].mean(axis=1) > 0, faces)


def _one_piece_each(is_back: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Give islands of one half to the other until both are connected by edges."""
    neighbours = _neighbours(faces)
    for _ in range(4):
        changed = False
        for side in (True, False):
            pieces = _pieces(is_back == side, neighbours)
            for piece in sorted(pieces, key=len)[:-1]:
                is_back[piece] = not side
                changed = True
        if not changed:
            break
    return is_back


def _neighbours(faces: np.ndarray) -> list[list[int]]:
    """Faces that share an edge with each face."""
    owners: dict[tuple[int, int], list[int]] = {}
    for number, face in enumerate(faces.tolist()):
        for a, b in ((0, 1), (1, 2), (2, 0)):
            owners.setdefault((min(face[a], face[b]), max(face[a], face[b])), []).append(number)
    result: list[list[int]] = [[] for _ in range(len(faces))]
    for sharing in owners.values():
        for one in sharing:
            result[one].extend(other for other in sharing if other != one)
    return result


def _pieces(wanted: np.ndarray, neighbours: list[list[int]]) -> list[list[int]]:
    """Connected groups of the wanted faces."""
    left, pieces = set(np.flatnonzero(wanted).tolist()), []
    while left:
        piece = [left.pop()]
        for face in piece:
            for other in neighbours[face]:
                if other in left:
                    left.remove(other)
                    piece.append(other)
        pieces.append(piece)
    return pieces


def _flatten(points: np.ndarray, faces: np.ndarray, *, up_is_back: bool) -> np.ndarray:
    """The half (n, 3) laid flat, (n, 2) metres, fingers toward -y: as rigid as possible, from its straight view."""
    flat = np.stack([-points[:, 2] if up_is_back else points[:, 2], points[:, 0]], axis=1)
    rest = _faces_in_plane(points[faces], mirrored=_mostly_negative(flat[faces]))
    angles = _cotangents(rest)
    solve = _poisson_inverse(angles, faces, len(points))
    for _ in range(_ROUNDS):
        turned = _turned(rest, flat[faces], angles)
        flat = solve @ _divergence(turned, angles, faces, len(points))
    return flat


def _faces_in_plane(corners: np.ndarray, *, mirrored: bool) -> np.ndarray:
    """Each face (m, 3, 3) moved without distortion to the plane, (m, 3, 2); mirrored to fit the layout's winding."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length = np.maximum(np.linalg.norm(a, axis=1), 1e-9)
    along = (a * b).sum(axis=1) / length
    height = np.maximum(np.linalg.norm(np.cross(a, b), axis=1) / length, 1e-9)
    zero = np.zeros_like(length)
    plane = np.stack([zero, zero, length, zero, along, -height if mirrored else height], axis=1)
    return plane.reshape(-1, 3, 2)


def _mostly_negative(flat: np.ndarray) -> bool:
    a, b = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    return bool((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() < 0)


def _cotangents(rest: np.ndarray) -> np.ndarray:
    """Weights (m, 3) of the edges opposite to the corners, kept positive so that slivers cannot fold the layout."""
    weights = []
    for corner in range(3):
        a, b = rest[:, (corner + 1) % 3] - rest[:, corner], rest[:, (corner + 2) % 3] - rest[:, corner]
        cross = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
        weights.append(np.clip((a * b).sum(axis=1) / np.maximum(cross, 1e-12), 0.05, 5.0))
    return np.stack(weights, axis=1)


def _poisson_inverse(weights: np.ndarray, faces: np.ndarray, n: int) -> np.ndarray:
    """Inverse (n, n) of the weighted Laplacian, made invertible by holding the mean in place."""
    laplacian = np.full((n, n), 1e-3 / n)
    for corner in range(3):
        i, j, w = faces[:, (corner + 1) % 3], faces[:, (corner + 2) % 3], weights[:, corner]
        for row, column, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
            np.add.at(laplacian, (row, column), sign * w)
    return np.linalg.inv(laplacian)


def _turned(rest: np.ndarray, flat: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Edges of the rest faces, each face turned as its place in the layout is: (m, 3, 2), edge opposite to corner c."""
    rest_edges, flat_edges = (x[:, [2, 0, 1]] - x[:, [1, 2, 0]] for x in (rest, flat))
    weighted = weights[..., None] * rest_edges
    cosine = (weighted * flat_edges).sum(axis=(1, 2))
    sine = (weighted[..., 0] * flat_edges[..., 1] - weighted[..., 1] * flat_edges[..., 0]).sum(axis=1)
    size = np.maximum(np.hypot(cosine, sine), 1e-20)
    c, s = (cosine / size)[:, None], (sine / size)[:, None]
    x, y = rest_edges[..., 0], rest_edges[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=-1)


def _divergence(edges: np.ndarray, weights: np.ndarray, faces: np.ndarray, n: int) -> np.ndarray:
    """Right-hand side (n, 2) of the layout's Poisson equation."""
    result = np.zeros((n, 2))
    for corner in range(3):
        pull = weights[:, corner, None] * edges[:, corner]
        np.add.at(result, faces[:, (corner + 2) % 3], pull)
        np.subtract.at(result, faces[:, (corner + 1) % 3], pull)
    return result


def _packed(flat: np.ndarray, half: int) -> np.ndarray:
    """The layout (n, 2) stretched into one half of the square, each axis by itself."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    size = np.array([0.5 - 2 * MARGIN, 1 - 2 * MARGIN])
    return (flat - low) / (high - low) * size + MARGIN + np.array([0.5 * half, 0.0])
