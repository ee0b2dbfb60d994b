"""Linear blend skinning of a hand in torch: batched, differentiable, any leading dimensions.

Letters: B flattened batch, V vertices, J = 16 joints of MANO, 21 output joints. Metres; right hand.
Equations: Romero et al., "Embodied Hands" (2017), after Loper et al., "SMPL" (2015).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hamer.geometry.mirroring import mirror_points
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models.arrays import N_BETAS, N_JOINTS, HandModelArrays
from hamer.hand_models.joints import MANO_TO_OPENPOSE


class HandOutput(NamedTuple):
    """`vertices` (..., V, 3) and the 21 `joints` (..., 21, 3), metres."""

    vertices: Tensor
    joints: Tensor


class HandModel(nn.Module):
    """A right hand from arrays: pose and shape to vertices and 21 joints.

    Left hands: mirror the parameters (`hamer.geometry.mirroring`), evaluate, and `mirror_output`. The tensors are
    constants of the model: they follow `.to(...)`, but are neither trained nor part of a state dict.
    """

    faces: Tensor
    left_faces: Tensor
    fingertips: Tensor
    hands_mean: Tensor
    hands_components: Tensor
    _template: Tensor
    _offsets: Tensor
    _weights: Tensor
    _tip_template: Tensor
    _tip_offsets: Tensor
    _tip_weights: Tensor
    _joint_template: Tensor
    _joint_dirs: Tensor
    _bone_parents: Tensor
    _from_depth_order: Tensor
    _output_order: Tensor

    def __init__(self, arrays: HandModelArrays, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.arrays = arrays
        self.name = arrays.name
        self._register("faces", arrays.faces, torch.int64)
        self._register("left_faces", arrays.left_faces, torch.int64)
        self._register("fingertips", arrays.fingertips, torch.int64)
        self._register("hands_mean", arrays.hands_mean, dtype)
        self._register("hands_components", arrays.hands_components, dtype)
        self._register("_output_order", np.array(MANO_TO_OPENPOSE), torch.int64)
        self._register_tree(arrays.parents)
        self._register_blend_shapes(arrays, dtype)

    def _register(self, name: str, array: np.ndarray, dtype: torch.dtype) -> None:
        self.register_buffer(name, torch.as_tensor(np.array(array)).to(dtype), persistent=False)

    def _register_tree(self, parents: np.ndarray) -> None:
        """Indices that pose the joints level by level, and the order that undoes it."""
        levels = _levels(parents)
        self._n_levels = len(levels)
        for depth, (joints, parents_in_level) in enumerate(levels):
            self._register(f"_joints_{depth}", np.array(joints), torch.int64)
            self._register(f"_parents_{depth}", np.array(parents_in_level), torch.int64)
        depth_order = [0, *(joint for joints, _ in levels for joint in joints)]
        self._register("_from_depth_order", np.argsort(depth_order), torch.int64)
        self._register("_bone_parents", np.maximum(parents, 0), torch.int64)

    def _register_blend_shapes(self, arrays: HandModelArrays, dtype: torch.dtype) -> None:
        """Shape and pose offsets as one matrix, coordinates before vertices, so that a batch is one product."""
        n = len(arrays.v_template)
        offsets = np.concatenate([arrays.shapedirs, arrays.posedirs], axis=2)  # (V, 3, 145)
        regressor = arrays.J_regressor.astype(np.float64)  # joints are linear in betas: done once, in double
        joint_dirs = np.einsum("jv,vcb->bjc", regressor, arrays.shapedirs.astype(np.float64))
        tips = arrays.fingertips
        self._register("_template", arrays.v_template.T.reshape(3 * n), dtype)
        self._register("_offsets", offsets.transpose(2, 1, 0).reshape(-1, 3 * n), dtype)
        self._register("_weights", arrays.lbs_weights.T, dtype)
        self._register("_tip_template", arrays.v_template[tips].T.reshape(15), dtype)
        self._register("_tip_offsets", offsets[tips].transpose(2, 1, 0).reshape(-1, 15), dtype)
        self._register("_tip_weights", arrays.lbs_weights[tips].T, dtype)
        self._register("_joint_template", (regressor @ arrays.v_template).reshape(3 * N_JOINTS), dtype)
        self._register("_joint_dirs", joint_dirs.reshape(N_BETAS, 3 * N_JOINTS), dtype)

    @property
    def n_vertices(self) -> int:
        """V, the number of vertices."""
        return self._weights.shape[1]

    def forward(
        self,
        global_orient: Float[Tensor, "*#batch 3 3"],
        hand_pose: Float[Tensor, "*#batch 15 3 3"],
        betas: Float[Tensor, "*#batch 10"],
        transl: Float[Tensor, "*#batch 3"] | None = None,
    ) -> HandOutput:
        """Vertices (..., V, 3) and joints (..., 21, 3) of rotation matrices; leading dimensions broadcast.

        Args:
            global_orient: rotation of the wrist, about the wrist joint.
            hand_pose: rotations of the 15 other joints relative to their parents, in MANO's order. No mean pose is
            added. betas: shape. transl: added to everything.
        """
        batch, rotations, betas = _flatten(global_orient, hand_pose, betas, self._template.dtype)
        with _full_precision(betas.device):
            transforms, joints = self._pose_joints(rotations, betas)
            posed = torch.addmm(self._template, _coefficients(rotations, betas), self._offsets)
            vertices = _skin(posed, transforms, self._weights)
        joints = self._order_joints(joints, vertices[:, self.fingertips])
        if transl is not None:
            shift = transl.expand(*batch, 3).reshape(-1, 1, 3)
            vertices, joints = vertices + shift, joints + shift
        return HandOutput(vertices.reshape(*batch, self.n_vertices, 3), joints.reshape(*batch, 21, 3))

    def joints(
        self,
        global_orient: Float[Tensor, "*#batch 3 3"],
        hand_pose: Float[Tensor, "*#batch 15 3 3"],
        betas: Float[Tensor, "*#batch 10"],
        transl: Float[Tensor, "*#batch 3"] | None = None,
    ) -> Float[Tensor, "... 21 3"]:
        """The 21 joints of `forward` alone: of the vertices, only the five fingertips are computed."""
        batch, rotations, betas = _flatten(global_orient, hand_pose, betas, self._template.dtype)
        with _full_precision(betas.device):
            transforms, joints = self._pose_joints(rotations, betas)
            posed = torch.addmm(self._tip_template, _coefficients(rotations, betas), self._tip_offsets)
            fingertips = _skin(posed, transforms, self._tip_weights)
        joints = self._order_joints(joints, fingertips)
        if transl is not None:
            joints = joints + transl.expand(*batch, 3).reshape(-1, 1, 3)
        return joints.reshape(*batch, 21, 3)

    def forward_axis_angle(
        self,
        global_orient: Float[Tensor, "*#batch 3"],
        hand_pose: Float[Tensor, "*#batch 45"],
        betas: Float[Tensor, "*#batch 10"],
        transl: Float[Tensor, "*#batch 3"] | None = None,
        *,
        flat_hand_mean: bool = True,
    ) -> HandOutput:
        """`forward` for axis-angle parameters; `flat_hand_mean=False` adds the model's mean pose, as smplx does."""
        if not flat_hand_mean:
            hand_pose = hand_pose + self.hands_mean
        rotations = aa_to_rotmat(hand_pose.unflatten(-1, (15, 3)))
        return self(aa_to_rotmat(global_orient), rotations, betas, transl)

    def forward_pca(
        self,
        global_orient: Float[Tensor, "*#batch 3"],
        components: Float[Tensor, "*#batch n_components"],
        betas: Float[Tensor, "*#batch 10"],
        transl: Float[Tensor, "*#batch 3"] | None = None,
        *,
        flat_hand_mean: bool = False,
    ) -> HandOutput:
        """`forward_axis_angle` for coefficients (..., n) of the first n principal components of pose."""
        pose = self.pose_from_components(components)
        return self.forward_axis_angle(global_orient, pose, betas, transl, flat_hand_mean=flat_hand_mean)

    def pose_from_components(self, components: Float[Tensor, "*batch n_components"]) -> Float[Tensor, "*batch 45"]:
        """Axis-angle pose without the mean, of coefficients of the first n principal components."""
        n, available = components.shape[-1], len(self.hands_components)
        if n > available:
            raise ValueError(f"components must hold at most {available} coefficients for this model, got {n}")
        return components @ self.hands_components[:n]

    def components_from_pose(self, hand_pose: Float[Tensor, "*batch 45"]) -> Float[Tensor, "*batch n_components"]:
        """Coefficients of an axis-angle pose without the mean; least squares for fewer than 45 components."""
        return hand_pose @ torch.linalg.pinv(self.hands_components)

    def _pose_joints(self, rotations: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Transforms (B, 16, 3, 4) that carry rest points to posed points, and posed joints (B, 16, 3).

        Walks the tree level by level (wrist, then three joints of all five fingers at a time): a joint's world
        rotation is its parent's times its own, its position the parent's plus the turned bone.
        """
        rest = torch.addmm(self._joint_template, betas, self._joint_dirs).unflatten(-1, (N_JOINTS, 3))
        bones = (rest - rest[:, self._bone_parents]).unsqueeze(-1)
        turned, placed = [rotations[:, :1]], [rest[:, :1]]
        for depth in range(self._n_levels):
            joints, parents = getattr(self, f"_joints_{depth}"), getattr(self, f"_parents_{depth}")
            parent_turn = turned[-1][:, parents]
            placed.append(placed[-1][:, parents] + (parent_turn @ bones[:, joints]).squeeze(-1))
            turned.append(parent_turn @ rotations[:, joints])
        world = torch.cat(turned, dim=1)[:, self._from_depth_order]
        posed = torch.cat(placed, dim=1)[:, self._from_depth_order]
        shift = posed.unsqueeze(-1) - world @ rest.unsqueeze(-1)
        return torch.cat([world, shift], dim=-1), posed

    def _order_joints(self, joints: Tensor, fingertips: Tensor) -> Tensor:
        return torch.cat([joints, fingertips], dim=1)[:, self._output_order]


def mirror_output(output: HandOutput, is_right: Bool[Tensor, "..."] | bool) -> HandOutput:
    """`output` of the right-hand model with those hands mirrored that are left.

    Args:
        output: of parameters in the right-hand convention (a left hand's already mirrored).
        is_right: (...) of the leading dimensions, or one flag for all.
    """
    if isinstance(is_right, bool):
        return output if is_right else HandOutput(mirror_points(output.vertices), mirror_points(output.joints))
    keep = is_right[..., None, None]
    vertices = torch.where(keep, output.vertices, mirror_points(output.vertices))
    return HandOutput(vertices, torch.where(keep, output.joints, mirror_points(output.joints)))


def _full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Automatic mixed precision off: products in half precision would move vertices by millimetres."""
    return torch.autocast(device.type, enabled=False) if device.type in ("cpu", "cuda", "xpu") else nullcontext()


def _flatten(
    global_orient: Tensor, hand_pose: Tensor, betas: Tensor, dtype: torch.dtype
) -> tuple[torch.Size, Tensor, Tensor]:
    """Common leading dimensions, rotations (B, 16, 3, 3), betas (B, 10); half precision input is raised to `dtype`."""
    inputs = (global_orient, hand_pose, betas)
    global_orient, hand_pose, betas = (x.to(dtype) if x.dtype.itemsize < dtype.itemsize else x for x in inputs)
    batch = torch.broadcast_shapes(global_orient.shape[:-2], hand_pose.shape[:-3], betas.shape[:-1])
    wrist = global_orient.expand(*batch, 3, 3).reshape(-1, 1, 3, 3)
    fingers = hand_pose.expand(*batch, N_JOINTS - 1, 3, 3).reshape(-1, N_JOINTS - 1, 3, 3)
    return batch, torch.cat([wrist, fingers], dim=1), betas.expand(*batch, N_BETAS).reshape(-1, N_BETAS)


def _coefficients(rotations: Tensor, betas: Tensor) -> Tensor:
    """(B, 145): betas, then the 15 finger rotations minus identity, row by row."""
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return torch.cat([betas, (rotations[:, 1:] - identity).flatten(1)], dim=1)


def _skin(posed: Tensor, transforms: Tensor, weights: Tensor) -> Tensor:
    """Points (B, P, 3): `posed` (B, 3 * P), coordinates before points, moved by blends of `transforms` (B, 16, 3, 4).

    Points run along the last axis until the end, where the arithmetic is over long contiguous rows.
    """
    x, y, z = posed.unflatten(-1, (3, 1, -1)).unbind(1)  # (B, 1, P) each
    rows = transforms.flatten(2).transpose(1, 2).reshape(-1, N_JOINTS)  # (12 B, 16): one product for the whole batch
    blended = rows @ weights
    to_x, to_y, to_z, shift = blended.reshape(-1, 3, 4, blended.shape[-1]).unbind(2)  # (B, 3, P) each
    moved = shift.addcmul(to_x, x).addcmul(to_y, y).addcmul(to_z, z)
    return moved.transpose(1, 2)


def _levels(parents: np.ndarray) -> list[tuple[list[int], list[int]]]:
    """The tree below the root by depth: per level its joints, and where their parents lie in the level before."""
    depth = [0] * len(parents)
    for joint in range(1, len(parents)):
        depth[joint] = depth[parents[joint]] + 1
    levels, previous = [], [0]
    for d in range(1, max(depth) + 1):
        joints = [j for j in range(len(parents)) if depth[j] == d]
        levels.append((joints, [previous.index(int(parents[j])) for j in joints]))
        previous = joints
    return levels
