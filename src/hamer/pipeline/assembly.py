"""From parameters in the right-hand convention to the `Hand`s of every picture, left hands mirrored back."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from hamer.geometry.cameras import project_with_camera
from hamer.geometry.mirroring import mirror_axis_angle, mirror_points
from hamer.geometry.rotations import rotmat_to_aa
from hamer.hand_models import HandModel
from hamer.pipeline.flat_hands import Estimate, FlatHands
from hamer.structures import Camera, Hand, HandBoxes, HandParameters

logger = logging.getLogger(__name__)


def assemble(
    model: HandModel, estimate: Estimate, flat: FlatHands, cameras: Sequence[Camera], n_pictures: int
) -> list[list[Hand]]:
    """`Hand`s of every picture from parameters in the right-hand convention; invalid ones are left out and logged."""
    with torch.inference_mode():
        output = model(estimate.global_orient, estimate.hand_pose, estimate.betas, transl=estimate.translation)
    arrays = {
        "vertices": output.vertices.numpy(),
        "joints": output.joints.numpy(),
        "translation": estimate.translation.numpy(),
        "orient": rotmat_to_aa(estimate.global_orient).numpy(),
        "pose": rotmat_to_aa(estimate.hand_pose).numpy(),
        "betas": estimate.betas.numpy(),
    }
    hands: list[list[Hand]] = [[] for _ in range(n_pictures)]
    for i, picture in enumerate(flat.picture_index):
        if not bool(estimate.valid[i]):
            logger.info("picture %d of the chunk: a hand could not be estimated", picture)
            continue
        one = {k: v[i] for k, v in arrays.items()}
        hands[picture].append(_hand(len(hands[picture]), one, flat.hands[i : i + 1], cameras[picture]))
    return hands


def _hand(index: int, values: dict[str, np.ndarray], found: HandBoxes, camera: Camera) -> Hand:
    """One hand from its arrays in the right-hand convention, mirrored back where it is a left one."""
    right = bool(found.is_right[0])
    if not right:
        values = {
            **{k: mirror_points(values[k]) for k in ("vertices", "joints", "translation")},
            "orient": mirror_axis_angle(values["orient"]),
            "pose": mirror_axis_angle(values["pose"]),
            "betas": values["betas"],
        }
    score = float(found.scores[0])
    confidence = np.full(21, score) if found.keypoints_2d is None else np.nan_to_num(found.keypoints_2d[0, :, 2])
    return Hand(
        id=index,
        is_right=right,
        score=score,
        box=found.boxes[0],
        vertices=values["vertices"],
        joints=values["joints"],
        keypoints_2d=project_with_camera(values["joints"], camera),
        joint_confidence=np.clip(confidence, 0.0, 1.0),
        camera_translation=values["translation"],
        parameters=HandParameters(values["orient"], values["pose"].reshape(45), values["betas"]),
    )
