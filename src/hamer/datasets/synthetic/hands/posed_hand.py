"""One hand of a scene, posed and placed, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.drawing.surfaces import FIRST_PART, OTHER_HAND, Surface
from hamer.datasets.synthetic.hands.views import Views
from hamer.datasets.synthetic.skin.bank import Skin
from hamer.datasets.synthetic.skin.curves import smoothstep
from hamer.datasets.synthetic.skin.unwrapping import hand_uv
from hamer.datasets.synthetic.vectors import area_normals, unit
from hamer.geometry.mirroring import mirror_faces, mirror_points
from hamer.hand_models.arrays import HandModelArrays

_TAPER = 0.012  # metres from the wrist's rim on which a glove gets as thick as it is


@dataclass(frozen=True)
class PosedHand:
    """A right hand: rotations `global_orient` (3, 3) and `hand_pose` (15, 3, 3), `betas` (10,), `translation` (3,) m.

    `vertices` (V, 3) and `joints` (21, 3) float32 m in the camera frame.
    """

    global_orient: np.ndarray
    hand_pose: np.ndarray
    betas: np.ndarray
    translation: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray

    @classmethod
    def of(cls, hand_pose: np.ndarray, betas: np.ndarray, views: Views) -> PosedHand:
        """The hand of the pose (15, 3, 3) and shape (10,) for which a single view was drawn."""
        return cls(views.global_orient[0], hand_pose, betas, views.translation[0], views.vertices[0], views.joints[0])


class HandCloth:
    """What all hands of one model have in common as surfaces: faces, texture coordinates, parts.

    The wrist is closed: where no arm follows, nobody looks into the hand. The closing faces have vertices of their own,
    so that they do not bend the skin's normals at its edge, where an arm goes on.
    """

    def __init__(self, arrays: HandModelArrays) -> None:
        self.uv, uv_faces = hand_uv(arrays)
        self.rim, cap = np.unique(arrays.wrist_faces, return_inverse=True)
        cap = cap.reshape(-1, 3) + len(arrays.v_template)
        self.faces = np.concatenate([arrays.faces, cap]).astype(np.int32)
        self.uv_faces = np.concatenate([uv_faces, _cap_uv(arrays, uv_faces)]).astype(np.int32)
        self.labels = part_labels(arrays, arrays.closed_faces.astype(np.int32))
        self.padded = np.concatenate([_from_rim(arrays.v_template, self.rim), np.zeros(len(self.rim))])[:, None]

    def surface(self, vertices: np.ndarray, skin: Skin, *, other: bool = False, mirrored: bool = False) -> Surface:
        """The surface of a hand with these vertices (V, 3): the annotated one, or an `other`.

        `mirrored`: the vertices are those of a left hand, whose triangles turn the other way. A glove lies about the hand,
        as thick as the skin says, and meets it at the wrist, where the arm begins.
        """
        faces, uv_faces = (mirror_faces(f) if mirrored else f for f in (self.faces, self.uv_faces))
        labels = np.full_like(self.labels, OTHER_HAND) if other else self.labels
        vertices = np.concatenate([vertices, vertices[self.rim]])
        if skin.thickness:
            vertices = vertices + skin.thickness * self.padded * unit(area_normals(vertices, faces))
        return Surface(vertices, faces, self.uv, uv_faces, skin.albedo, skin.relief, skin.gloss, labels)


def _from_rim(vertices: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """(V,) 0 at the wrist's rim, 1 from `_TAPER` metres on: how thick a glove is there."""
    apart = np.linalg.norm(vertices[:, None] - vertices[None, rim], axis=-1).min(1)
    return smoothstep(0.0, _TAPER, apart)


def mirrored_vertices(hand: PosedHand) -> np.ndarray:
    """The hand's vertices (V, 3) as those of a left hand in the same place."""
    middle = hand.vertices.mean(0)
    return mirror_points(hand.vertices - middle) + middle


def part_labels(arrays: HandModelArrays, faces: np.ndarray) -> np.ndarray:
    """(F,) uint8: 1 + the MANO joint whose skinning weights add up to most over a face's corners."""
    return (arrays.lbs_weights[faces].sum(1).argmax(1) + FIRST_PART).astype(np.uint8)


def _cap_uv(arrays: HandModelArrays, uv_faces: np.ndarray) -> np.ndarray:
    """(K, 3) texture coordinates of the faces that close the wrist: one place of the skin for each face.

    Corners of their own would span parts of the texture between the islands, where there is no skin.
    """
    rows = np.zeros(len(arrays.v_template), np.int32)
    rows[arrays.faces.ravel()] = uv_faces.ravel()
    return np.repeat(rows[arrays.wrist_faces[:, :1]], 3, axis=1)
