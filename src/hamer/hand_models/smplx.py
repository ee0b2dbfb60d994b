"""Hand poses of MANO in SMPL-X (and SMPL-H), whose hands are MANO's: the same joints, order, axes and units.

What differs: SMPL-X as smplx loads it (`flat_hand_mean=False`) adds a mean pose to what it is given, may take principal
components, and turns the wrist relative to the forearm. Poses are axis-angle, radians, 45 numbers in MANO's order
(index, middle, little, ring, thumb), without any mean, and those of a true left hand where the hand is left. Pavlakos
et al., "Expressive Body Capture", CVPR 2019.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hamer.geometry.mirroring import ArrayT, mirror_axis_angle

SMPLX_WRISTS = {"left": 20, "right": 21}
"""Numbers of the wrists among SMPL-X's joints; in its `body_pose`, which leaves the pelvis out, they are one less."""


def to_smplx_hand_pose(
    hand_pose: ArrayT, hands_mean: ArrayT, *, is_right: bool, flat_hand_mean: bool = False
) -> ArrayT:
    """SMPL-X's `right_hand_pose` (or `left_hand_pose`) with `use_pca=False`, for the same bending of the fingers.

    Args:
        hand_pose: (..., 45) of MANO, without mean.
        hands_mean: (45,) of the right hand, as `HandModelArrays.hands_mean` or MANO_RIGHT.pkl have it.
        is_right: whether the pose is a right hand's.
        flat_hand_mean: how the SMPL-X model was made; with True it adds nothing, and the pose is the same.
    """
    return hand_pose if flat_hand_mean else hand_pose - _mean(hands_mean, is_right)


def from_smplx_hand_pose(
    smplx_pose: ArrayT, hands_mean: ArrayT, *, is_right: bool, flat_hand_mean: bool = False
) -> ArrayT:
    """MANO's pose (..., 45) without mean; inverse of `to_smplx_hand_pose`."""
    return smplx_pose if flat_hand_mean else smplx_pose + _mean(hands_mean, is_right)


def smplx_components(
    hand_pose: Float[Tensor, "*batch 45"],
    hands_mean: Float[Tensor, "45"],
    hands_components: Float[Tensor, "n_components 45"],
    *,
    is_right: bool,
) -> Float[Tensor, "*batch n_components"]:
    """Coefficients for `use_pca=True` and `flat_hand_mean=False`: least squares, so what the components lack is lost.

    `hands_components` are the right hand's first n; the left hand's are taken as their mirror image.
    """
    pose = to_smplx_hand_pose(hand_pose, hands_mean, is_right=is_right)
    return pose @ torch.linalg.pinv(hands_components if is_right else _mirror_pose(hands_components))


def smplx_wrist_rotation(
    global_orient: Float[Tensor, "*batch 3 3"], forearm_rotation: Float[Tensor, "*batch 3 3"]
) -> Float[Tensor, "*batch 3 3"]:
    """The wrist's rotation in SMPL-X's `body_pose`, relative to the forearm.

    Args:
        global_orient: of the hand in the camera frame; at identity MANO's hand lies as in SMPL-X's rest pose.
        forearm_rotation: of the elbow joint in the same frame: the product of all rotations from the pelvis to the
        elbow.
    """
    return forearm_rotation.transpose(-1, -2) @ global_orient


def _mean(hands_mean: ArrayT, is_right: bool) -> ArrayT:
    return hands_mean if is_right else _mirror_pose(hands_mean)


def _mirror_pose(pose: ArrayT) -> ArrayT:
    """Poses (..., 45) mirrored joint by joint."""
    shape = (*pose.shape[:-1], 15, 3)
    return mirror_axis_angle(pose.reshape(shape)).reshape(pose.shape)
