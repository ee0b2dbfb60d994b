"""What a made picture's annotation says: joints, parts and what of them is seen, exactly.

Letters: V vertices, F faces, H x W the picture. Camera frame x right, y down, z forward, metres; pixel (0, 0) has its
centre at (0, 0), as everywhere in training's crops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hamer.datasets.packing.annotations import HandAnnotation
from hamer.datasets.packing.samples import hand_sample
from hamer.datasets.synthetic.drawing.surfaces import FIRST_PART, FOREARM
from hamer.datasets.synthetic.vectors import projected
from hamer.geometry.boxes import boxes_from_keypoints, clip_boxes
from hamer.geometry.mirroring import mirror_axis_angle, mirror_points
from hamer.hand_models.joints import MANO_TO_OPENPOSE
from hamer.structures import Camera

FINGER_DEPTH, WRIST_DEPTH = 0.025, 0.045
"""How far below the surface that is seen a joint may lie to count as seen, m: the thickness of a thick finger with its
joint at the far side when bent, and that of a wrist."""
_ABOVE = 0.012  # m that a joint may lie above the drawn surface: a fingertip's vertex on the far edge of its nail
_NEIGHBOURS = 2  # px around a joint that are looked at: a tip on the outline has the background at its own pixel
_AROUND = np.stack(np.meshgrid(*[np.arange(-_NEIGHBOURS, _NEIGHBOURS + 1)] * 2), -1).reshape(-1, 2)
_LIMITS = np.array([WRIST_DEPTH, *[FINGER_DEPTH] * 20])


@dataclass(frozen=True)
class HandTruth:
    """The annotated hand as the picture shows it; a left hand is the left hand that it is.

    `pose` (48,) axis-angle, global orientation first, fingers absolute; `betas` (10,); `translation` (3,) m that the
    model's joints and vertices are moved by; `joints` (21, 3) and `vertices` (V, 3) m, camera frame; `camera_matrix` (3,
    3) px; `family`: which kind of pose it is.
    """

    is_right: bool
    pose: np.ndarray
    betas: np.ndarray
    translation: np.ndarray
    joints: np.ndarray
    vertices: np.ndarray
    camera_matrix: np.ndarray
    family: str

    @property
    def keypoints_2d(self) -> np.ndarray:
        """The joints' pixels (21, 2)."""
        return projected(self.joints, self.camera_matrix)

    def mirrored(self, width: int) -> HandTruth:
        """The truth of the picture of `width` px turned over left to right."""
        matrix = self.camera_matrix.copy()
        matrix[0, 2] = width - 1 - matrix[0, 2]
        return replace(
            self,
            is_right=not self.is_right,
            pose=mirror_axis_angle(self.pose.reshape(16, 3)).reshape(48),
            translation=mirror_points(self.translation),
            joints=mirror_points(self.joints),
            vertices=mirror_points(self.vertices),
            camera_matrix=matrix,
        )


def visible_joints(joints: np.ndarray, pixels: np.ndarray, depth: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Which (21,) of the joints are seen.

    A joint is, where at its pixel (or at one of the two next to it in any direction) the nearest surface belongs to a part
    of the hand that meets at the joint, and covers it by no more than a finger is thick (`FINGER_DEPTH`; for the wrist
    `WRIST_DEPTH`, and the forearm counts as its part). Joints outside the picture are not seen.

    Args:
        joints: (21, 3) m. pixels: (21, 2) theirs. depth: (H, W) m of the nearest surface, 0 where there is none.
        parts: (H, W) uint8 labels.
    """
    height, width = depth.shape
    at = np.round(np.clip(pixels, -1e6, 1e6)).astype(int)
    inside = ((at >= 0) & (at < [width, height])).all(1)
    x = np.clip(at[:, :1] + _AROUND[:, 0], 0, width - 1)  # (21, 25), as y
    y = np.clip(at[:, 1:] + _AROUND[:, 1], 0, height - 1)
    nearest = depth[y, x]
    below = joints[:, 2:] - nearest
    close = (nearest > 0) & (below < _LIMITS[:, None]) & (below > -_ABOVE)
    return np.asarray(inside & (close & _OWN_PARTS[np.arange(21)[:, None], parts[y, x]]).any(1))


def annotation(truth: HandTruth, visibility: np.ndarray, width: int, height: int, box_factor: float) -> dict[str, Any]:
    """The hand as the house's tars hold it, and our own keys `camera_matrix`, `translation`, `visibility`, `family`.

    The box is tight around those of the 21 joints, moved to the picture's edge where they lie outside: what a detector
    that sees only the picture gives.
    """
    points = truth.keypoints_2d
    box = clip_boxes(boxes_from_keypoints(points.astype(np.float32)), width - 1, height - 1)
    hand = HandAnnotation(
        truth.is_right,
        box=box,
        keypoints_2d=np.c_[points, np.ones(21)],
        keypoints_3d=np.c_[truth.joints, np.ones(21)],
        hand_pose=truth.pose,
        betas=truth.betas,
    )
    k = truth.camera_matrix
    sample = hand_sample(hand, camera=Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2]), box_factor=box_factor, source="made")
    return {
        **sample,
        "camera_matrix": np.asarray(k, np.float32),
        "translation": np.asarray(truth.translation, np.float32),
        "visibility": visibility.astype(bool),
        "family": truth.family,
    }


def _own_parts() -> np.ndarray:
    """(21, 256) bool: which labels' surfaces show a joint: the parts before and after it, and the next one."""
    table = np.zeros((21, 256), bool)
    for joint, own in enumerate(MANO_TO_OPENPOSE):
        if joint == 0:
            parts: tuple[int, ...] = (0, FOREARM - FIRST_PART)
        elif own >= 16:  # a fingertip: at the end of the finger's third bone
            parts = (MANO_TO_OPENPOSE[joint - 1],)
        else:
            first = joint % 4 == 1
            parts = (0 if first else MANO_TO_OPENPOSE[joint - 1], own)
            if joint % 4 != 3:
                parts = (*parts, MANO_TO_OPENPOSE[joint + 1])
        table[joint, [FIRST_PART + part for part in parts]] = True
    return table


_OWN_PARTS = _own_parts()
