"""The 21 joints of a hand and their exact derivatives, without skinning the whole mesh.

Letters: N hands, F = 5 fingers in MANO's order (index, middle, little, ring, thumb), L = 3 joints along a finger from
base to tip, A active angles, P = 6 + A + 10 columns of the Jacobian. Joint k of MANO's 16 is the wrist for k = 0 and
joint l of finger f for k = 1 + 3 f + l. Lengths in metres; rotations turn a joint's frame into its parent's.

Every fingertip is one skinned vertex, so the chain is exact for MANO and for the open hand alike: blend weights over
several bones and the pose-dependent corrections are part of the value and of the derivative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hamer.hand_models.joints import MANO_PARENTS, MANO_TO_OPENPOSE


@dataclass(frozen=True)
class Skeleton:
    """What the joints of one hand model depend on; everything linear in the shape is kept as a linear map.

    The wrist is the origin of everything but `wrist_template` (3,) and `wrist_shape` (3, 10), which say where the
    model itself puts it in its rest pose: the model's vertices are these joints plus `wrist(betas)`. joints_template
    (16, 3) and joints_shape (16, 3, 10): rest joints are `joints_template + joints_shape @ betas`. tips_template (5,
    3), tips_shape (5, 3, 10), tips_pose (5, 3, 135), tips_weights (5, 16): the fingertip vertices, thumb to little.
    influence (5, 16, 16): weight with which bone b moves tip i when joint k turns (b is k or hangs on it).
    """

    wrist_template: Tensor
    wrist_shape: Tensor
    joints_template: Tensor
    joints_shape: Tensor
    tips_template: Tensor
    tips_shape: Tensor
    tips_pose: Tensor
    tips_weights: Tensor
    influence: Tensor

    @classmethod
    def from_hand_model(cls, hand_model: Any) -> Skeleton:
        """Collect the constants from a `HandModel` or `HandModelArrays` (anything that carries MANO's arrays by name).

        Raises:
            ValueError: the kinematic tree is not MANO's.
        """
        parents = tuple(int(p) for p in _array_of(hand_model, "parents").tolist())
        if parents[1:] != MANO_PARENTS[1:]:
            raise ValueError(
                f"hand_model.parents must be MANO's tree {MANO_PARENTS}, got {parents}: fitting knows no other"
            )
        tips = _array_of(hand_model, "fingertips").long()
        template, shapedirs = (_array_of(hand_model, name) for name in ("v_template", "shapedirs"))
        tips_pose, weights = (_array_of(hand_model, name, tips) for name in ("posedirs", "lbs_weights"))
        regressor = _array_of(hand_model, "J_regressor")
        joints = regressor @ template
        joints_shape = (regressor @ shapedirs.flatten(1)).unflatten(1, (3, -1))
        return cls(
            wrist_template=joints[0],
            wrist_shape=joints_shape[0],
            joints_template=joints - joints[0],
            joints_shape=joints_shape - joints_shape[0],
            tips_template=template[tips] - joints[0],
            tips_shape=shapedirs[tips] - joints_shape[0],
            tips_pose=tips_pose,
            tips_weights=weights,
            influence=weights[:, None, :] * _descendants().to(weights),
        )

    def to(self, like: Tensor) -> Skeleton:
        """The same constants in the dtype and on the device of `like`."""
        return Skeleton(**{name: getattr(self, name).to(like) for name in self.__dataclass_fields__})

    def wrist(self, betas: Tensor) -> Tensor:
        """Where the model puts the wrist (N, 3) in its rest pose, and in every pose, for `betas` (N, 10)."""
        return self.wrist_template + betas @ self.wrist_shape.T

    def rest_joints(self, betas: Tensor) -> Tensor:
        """The 21 joints (N, 21, 3) of the unposed hand for `betas` (N, 10), wrist in the origin."""
        joints = self.joints_template + torch.einsum("jcb,nb->njc", self.joints_shape, betas)
        tips = self.tips_template + torch.einsum("icb,nb->nic", self.tips_shape, betas)
        return torch.cat([joints, tips], dim=1)[:, list(MANO_TO_OPENPOSE)]


@dataclass
class PosedHand:
    """The posed joints and what their derivatives need; `points` (N, 21, 3), OpenPose's order, wrist in the origin."""

    points: Tensor
    pivots: Tensor  # (N, 16, 3) posed MANO joints
    rotations_world: Tensor  # (N, 16, 3, 3) joint frame to camera axes
    rotations_local: Tensor  # (N, 15, 3, 3)
    rest: Tensor  # (N, 16, 3)
    carried_tips: Tensor  # (N, 5, 16, 3) each tip as each bone alone would carry it


def pose_skeleton(skeleton: Skeleton, global_orient: Tensor, hand_pose: Tensor, betas: Tensor) -> PosedHand:
    """Pose the joints: `global_orient` (N, 3, 3), `hand_pose` (N, 15, 3, 3), `betas` (N, 10); right hand, metres."""
    n = len(global_orient)
    rest = skeleton.joints_template + torch.einsum("jcb,nb->njc", skeleton.joints_shape, betas)
    pivots, world = _chain(rest, global_orient, hand_pose)
    feature = (hand_pose - torch.eye(3).to(hand_pose)).reshape(n, 135)
    tips = skeleton.tips_template + torch.einsum("icb,nb->nic", skeleton.tips_shape, betas)
    tips = tips + torch.einsum("icf,nf->nic", skeleton.tips_pose, feature)
    relative = tips[:, :, None] - rest[:, None]  # (N, 5, 16, 3)
    carried = torch.einsum("nbxy,niby->nibx", world, relative) + pivots[:, None]
    posed_tips = torch.einsum("ib,nibx->nix", skeleton.tips_weights, carried)
    points = torch.cat([pivots, posed_tips], dim=1)[:, list(MANO_TO_OPENPOSE)]
    return PosedHand(points, pivots, world, hand_pose, rest, carried)


def joints_jacobian(skeleton: Skeleton, posed: PosedHand, joint_of: Tensor, axes_parent: Tensor) -> Tensor:
    """d points / d (global increment 3, active angles A, betas 10): (N, 21, 3, 13 + A).

    The global increment is a rotation vector in camera axes multiplied from the left: R <- Exp(w) R, about the wrist.

    Args:
        joint_of: (A,) which of the 15 joints (0-based) each active angle turns.
        axes_parent: (N, A, 3) the instantaneous rotation axis of each angle in the frame of that joint's parent:
            d R = [axis]x R d angle.
    """
    turn = cross_columns(posed.points)  # (N, 21, 3, 3)
    axes = _axes_world(posed, joint_of, axes_parent)
    bend = _bend_columns(skeleton, posed, joint_of, axes)
    tips = bend[:, 16:] + _pose_blend_columns(skeleton, posed, joint_of, axes_parent)
    bend = torch.cat([bend[:, :16], tips], dim=1)
    shape = _shape_columns(skeleton, posed)
    order = list(MANO_TO_OPENPOSE)
    return torch.cat([turn, bend.transpose(2, 3)[:, order], shape[:, order]], dim=-1)


def _chain(rest: Tensor, global_orient: Tensor, hand_pose: Tensor) -> tuple[Tensor, Tensor]:
    """Posed joints (N, 16, 3) and joint-to-camera rotations (N, 16, 3, 3), the five fingers at once."""
    n = len(rest)
    wrist, fingers = rest[:, 0], rest[:, 1:].reshape(n, 5, 3, 3)
    local = hand_pose.reshape(n, 5, 3, 3, 3)
    rotation = global_orient[:, None].expand(n, 5, 3, 3)
    pivot, base = wrist[:, None].expand(n, 5, 3), wrist[:, None]
    pivots, rotations = [], []
    for level in range(3):
        pivot = pivot + (rotation @ (fingers[:, :, level] - base)[..., None])[..., 0]
        rotation = rotation @ local[:, :, level]
        base = fingers[:, :, level]
        pivots.append(pivot)
        rotations.append(rotation)
    all_pivots = torch.cat([wrist[:, None], torch.stack(pivots, dim=2).reshape(n, 15, 3)], dim=1)
    world = torch.cat([global_orient[:, None], torch.stack(rotations, dim=2).reshape(n, 15, 3, 3)], dim=1)
    return all_pivots, world


def _axes_world(posed: PosedHand, joint_of: Tensor, axes_parent: Tensor) -> Tensor:
    """The angles' axes (N, A, 3) turned from their joint's parent frame into camera axes."""
    parents = torch.tensor(MANO_PARENTS[1:], device=joint_of.device)[joint_of]
    return torch.einsum("naxy,nay->nax", posed.rotations_world[:, parents], axes_parent)


def _bend_columns(skeleton: Skeleton, posed: PosedHand, joint_of: Tensor, axes: Tensor) -> Tensor:
    """How the 16 joints and 5 tips move with each active angle by rotation alone: (N, 21, A, 3), MANO's order."""
    centre = posed.pivots[:, joint_of + 1]  # (N, A, 3)
    hangs = _descendants().to(axes)[joint_of + 1]  # (A, 16)
    arm_joints = (posed.pivots[:, :, None] - centre[:, None]) * hangs.T[:, :, None]
    influence = skeleton.influence[:, joint_of + 1]  # (5, A, 16)
    carried = torch.einsum("iab,nibx->niax", influence, posed.carried_tips)
    arm_tips = carried - influence.sum(-1)[..., None] * centre[:, None]
    arms = torch.cat([arm_joints, arm_tips], dim=1)
    return torch.cross(axes[:, None].expand_as(arms), arms, dim=-1)


def _pose_blend_columns(skeleton: Skeleton, posed: PosedHand, joint_of: Tensor, axes_parent: Tensor) -> Tensor:
    """How the pose-dependent correction of each tip moves with each active angle: (N, 5, A, 3)."""
    count = len(joint_of)
    rotation = posed.rotations_local[:, joint_of]  # (N, A, 3, 3)
    axis = axes_parent[..., None].expand_as(rotation)
    derivative = torch.cross(axis, rotation, dim=-2).reshape(-1, count, 9)
    directions = skeleton.tips_pose.reshape(5, 3, 15, 9)[:, :, joint_of]  # (5, 3, A, 9)
    correction = torch.einsum("icaf,naf->niac", directions, derivative)
    blended = torch.einsum("ib,nbxy->nixy", skeleton.tips_weights, posed.rotations_world)
    return torch.einsum("nixy,niay->niax", blended, correction)


def _shape_columns(skeleton: Skeleton, posed: PosedHand) -> Tensor:
    """How the 16 joints and 5 tips move with the betas: (N, 21, 3, 10), MANO's order."""
    n = len(posed.points)
    shape = skeleton.joints_shape
    fingers = shape[1:].reshape(5, 3, 3, 10)
    world = posed.rotations_world[:, 1:].reshape(n, 5, 3, 3, 3)
    bone = fingers[:, 0] - shape[0]
    pivot = shape[0] + torch.einsum("nxy,fyb->nfxb", posed.rotations_world[:, 0], bone)
    pivots = [pivot]
    for level in (1, 2):
        bone = fingers[:, level] - fingers[:, level - 1]
        pivot = pivot + torch.einsum("nfxy,fyb->nfxb", world[:, :, level - 1], bone)
        pivots.append(pivot)
    fingers_posed = torch.stack(pivots, dim=2).reshape(n, 15, 3, 10)
    joints = torch.cat([shape[:1].expand(n, 1, 3, 10), fingers_posed], dim=1)
    relative = skeleton.tips_shape[:, None] - shape  # (5, 16, 3, 10)
    weighted = skeleton.tips_weights[:, :, None, None] * relative
    tips = torch.einsum("nkxy,ikyb->nixb", posed.rotations_world, weighted)
    tips = tips + torch.einsum("ik,nkxb->nixb", skeleton.tips_weights, joints)
    return torch.cat([joints, tips], dim=1)


def cross_columns(arms: Tensor) -> Tensor:
    """The matrix (..., 3, 3) whose column m is e_m x arm, for arms (..., 3): how a rotation increment moves the
    points.
    """
    basis = torch.eye(3).to(arms).expand(*arms.shape[:-1], 3, 3)
    return torch.cross(basis, arms[..., None].expand_as(basis), dim=-2)


def _descendants() -> Tensor:
    """(16, 16) bool: row k marks joint k and everything that hangs on it."""
    marks = torch.eye(16, dtype=torch.bool)
    for joint in range(15, 0, -1):  # children come after their parents in MANO's order
        marks[MANO_PARENTS[joint]] |= marks[joint]
    return marks


def _array_of(hand_model: Any, name: str, rows: Tensor | None = None) -> Tensor:
    """The array `name` of a hand model (or `rows` of it), from itself or its `arrays`, as a float64 tensor on the CPU."""
    holder = hand_model if hasattr(hand_model, name) else getattr(hand_model, "arrays", None)
    if holder is None or not hasattr(holder, name):
        raise ValueError(f"hand_model must carry {name!r} as a HandModel does, got {type(hand_model).__name__}")
    value = torch.as_tensor(getattr(holder, name)).detach().cpu()
    return (value if rows is None else value[rows]).to(torch.float64)
