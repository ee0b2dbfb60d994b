"""What every texel of a hand's texture knows about its place: position, normal, side, finger, place along the finger.

Letters: M texels that are used (covered by a face, or near one), S x S texture, F = 5 fingers in MANO's order.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hamer.datasets.synthetic.skin.rest_anatomy import RestAnatomy
from hamer.datasets.synthetic.skin.unwrapping import hand_uv
from hamer.datasets.synthetic.vectors import area_normals, unit
from hamer.hand_models.arrays import HandModelArrays

PADDING = 5
"""Texels around the faces that repeat their nearest neighbour, so that filtering finds skin on both sides."""


@dataclass(frozen=True)
class Texels:
    """The M used texels of a hand's texture, rest pose, metres.

    size: S; index (M,) into the flattened square; position, normal (M, 3); weights (M, 16) of skinning; dorsal (M,)
    -1 palm .. 1 back, by the normal; finger (M,) 0..4, or -1 on the palm; along (M,) arc length from the finger's
    first joint; across (M,) offset from the finger's axis to the little finger's side; height (M,) offset toward its back; anatomy.
    On the palm, along / across / height are those of the nearest finger, which `nearest` (M,) names.
    """

    size: int
    index: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    weights: np.ndarray
    dorsal: np.ndarray
    finger: np.ndarray
    nearest: np.ndarray
    along: np.ndarray
    across: np.ndarray
    height: np.ndarray
    anatomy: RestAnatomy

    @classmethod
    def of(cls, arrays: HandModelArrays, size: int) -> Texels:
        """Rasterise the faces of `hand_uv` into a square of `size` texels."""
        uv, uv_faces = hand_uv(arrays)
        face, bary = _rasterise(uv, uv_faces, size)
        index, source = _padded(face >= 0)
        nearest_face = face.ravel()[source]
        corners = arrays.faces[nearest_face]
        weight = _continued(uv[uv_faces[nearest_face]], index, bary.reshape(-1, 3)[source], size)
        position = _mixed(arrays.v_template, corners, weight)
        normal = unit(_mixed(unit(area_normals(arrays.v_template, arrays.faces)), corners, weight))
        weights = _mixed(arrays.lbs_weights, corners, weight)
        anatomy = RestAnatomy.of(arrays)
        dorsal = (normal * anatomy.vertex_dorsal(weights)).sum(axis=1)
        finger, nearest, place = _along_fingers(position, weights, anatomy)
        along, across, height = place.T.astype(np.float32)
        return cls(size, index, position, normal, weights, dorsal, finger, nearest, along, across, height, anatomy)

    def image(self, values: np.ndarray, fill: float = 0) -> np.ndarray:
        """Values (M,) or (M, C) as a square picture (S, S) or (S, S, C), `fill` where no skin is."""
        square = np.full((self.size * self.size, *values.shape[1:]), fill, values.dtype)
        square[self.index] = values
        return square.reshape(self.size, self.size, *values.shape[1:])


def _rasterise(uv: np.ndarray, uv_faces: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The face (S, S) int32 of each texel's centre, -1 outside, and its barycentric coordinates (S, S, 3)."""
    face = np.full((size, size), -1, np.int32)
    bary = np.zeros((size, size, 3), np.float32)
    points = uv.astype(np.float64) * size - 0.5
    for number, (a, b, c) in enumerate(points[uv_faces]):
        low = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)).astype(int), 0)
        high = np.minimum(np.floor(np.maximum(np.maximum(a, b), c)).astype(int), size - 1) + 1
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if (high <= low).any() or abs(area) < 1e-9:
            continue
        x, y = np.arange(low[0], high[0])[None], np.arange(low[1], high[1])[:, None]
        w_b = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        w_c = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        weights = np.stack([1 - w_b - w_c, w_b, w_c], axis=-1)
        inside = (weights >= -1e-6).all(axis=-1)
        face[low[1] : high[1], low[0] : high[0]][inside] = number
        bary[low[1] : high[1], low[0] : high[0]][inside] = weights[inside]
    return face, bary


def _padded(covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat numbers (M,) of texels on or near a face, and of the covered texel (M,) that each takes its values from."""
    distance, zone = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    source_of_zone = np.zeros(zone.max() + 1, np.int64)
    source_of_zone[zone[covered]] = np.flatnonzero(covered)
    index = np.flatnonzero(distance <= PADDING)
    return index, source_of_zone[zone.ravel()[index]]


def _continued(corners: np.ndarray, index: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    """Barycentric coordinates (M, 3) of all texels in their face (M, 3, 2), beyond its border where they are padding.

    So the padding shows what lies beyond the cut. Far from a sliver's border the `weight` (M, 3) of the nearest covered
    texel is kept.
    """
    point = np.stack([index % size + 0.5, index // size + 0.5], axis=1) / size
    a, b, c = (corners[:, i].astype(np.float64) for i in range(3))
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    w_b, w_c = _cross(point - a, c - a) / area, _cross(b - a, point - a) / area
    continued = np.stack([1 - w_b - w_c, w_b, w_c], axis=1)
    near = (np.abs(continued - weight) < 1.0).all(axis=1)
    return np.where(near[:, None], continued, weight).astype(np.float32)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _along_fingers(
    position: np.ndarray, weights: np.ndarray, anatomy: RestAnatomy
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finger (M,) or -1, nearest finger (M,), and (along, across, height) (M, 3) in that finger's phalanges."""
    by_finger = weights[:, 1:].reshape(-1, 5, 3).sum(axis=2)
    best = np.full(len(position), np.inf)
    nearest, place = np.zeros(len(position), np.int64), np.zeros((len(position), 3))
    for f in range(5):
        for k in range(3):
            local = position - anatomy.nodes[f, k]
            t = local @ anatomy.bones[f, k]
            low = -np.inf if k == 0 else 0.0
            high = np.inf if k == 2 else anatomy.reach[f, k + 1] - anatomy.reach[f, k]
            off = np.linalg.norm(local - np.clip(t, low, high)[:, None] * anatomy.bones[f, k], axis=1)
            # A finger's own texels never fall to its neighbour, however close the fingers lie.
            off = off - by_finger[:, f]
            closer = off < best
            best[closer], nearest[closer] = off[closer], f
            place[closer, 0] = (anatomy.reach[f, k] + np.clip(t, low, high))[closer]
            place[closer, 1] = (local @ anatomy.lateral[f, k])[closer]
            place[closer, 2] = (local @ anatomy.dorsal[f, k])[closer]
    # The thumb's first joint lies in the palm: its metacarpal counts as palm, its two phalanges as the finger.
    first = np.where(nearest == 4, weights[:, 14] + weights[:, 15], by_finger[np.arange(len(position)), nearest])
    return np.where(first > 0.5, nearest, -1), nearest, place


def _mixed(values: np.ndarray, corners: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.einsum("mcd,mc->md", values[corners], weight).astype(np.float32)
