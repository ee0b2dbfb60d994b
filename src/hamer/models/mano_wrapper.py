"""`MANO`, the hand layer under the name, arguments, outputs and buffers that HaMeR's code and checkpoints know.

The mathematics is `hamer.hand_models.HandModel`; this module adds the state dict of the original's wrapper around
smplx and its calling conventions. B is the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hamer.checkpoints.hand_files import arrays_from_state_dict, read_mano
from hamer.checkpoints.unpickling import load_pickle
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models.arrays import N_BETAS, N_JOINTS, HandModelArrays
from hamer.hand_models.joints import MANO_TO_OPENPOSE
from hamer.hand_models.layer import HandModel

_WITHOUT_EFFECT = frozenset(
    {
        *("data_dir", "gender", "mean_params", "age", "name", "batch_size", "vertex_ids", "use_compressed", "ext"),
        *("create_body_pose", "create_global_orient", "create_hand_pose", "create_betas", "create_transl"),
    }
)
"""Arguments of smplx and of HaMeR's MANO configuration that change nothing for a layer fed with its parameters."""


@dataclass
class MANOOutput:
    """What a forward pass gives; fields may also be read like a dict's.

    `vertices` (B, V, 3) and `joints` (B, 21, 3), metres; `betas`, `global_orient`, `hand_pose`, `transl` as they went
    in.
    """

    vertices: Tensor | None
    joints: Tensor
    betas: Tensor
    global_orient: Tensor
    hand_pose: Tensor
    transl: Tensor | None = None
    full_pose: Tensor | None = None

    def __getitem__(self, key: str) -> Any:
        """The field called `key`."""
        return getattr(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """The field called `key`, or `default`."""
        return getattr(self, key, default)

    def keys(self) -> Iterator[str]:
        """Names of all fields."""
        return (f.name for f in fields(self))

    __iter__ = keys


class _VertexJointSelector(nn.Module):
    """Holds one buffer, at the place where checkpoints have it."""

    def __init__(self, extra_joints_idxs: Tensor) -> None:
        super().__init__()
        self.register_buffer("extra_joints_idxs", extra_joints_idxs.clone())


class MANO(nn.Module):
    """A MANO layer with HaMeR's 21 joints in OpenPose's order.

    Args:
        model_path: MANO's file or the folder that holds it, or `HandModelArrays`.
        is_rhand: False looks for MANO_LEFT in a folder.
        use_pca: keep `num_pca_comps` pose components for PCA input.
        num_pca_comps: how many, 6 in HaMeR's checkpoints.
        flat_hand_mean: True stores a zero mean pose; the mean concerns axis-angle and PCA input only.
        num_betas: 10, the number that this package knows.
        num_hand_joints: 15.
        v_template: (V, 3) rest vertices in place of the file's.
        dtype: of all floating buffers.
        joint_regressor_extra: file of a (K, V) regressor (.npy or .pkl) whose K joints are appended to the 21.
        joint_mapper: must be None; the order of joints is fixed.
        others: arguments of smplx that need not be given here (`gender`, `mean_params`, `create_body_pose` ...).
    """

    NUM_JOINTS, NUM_HAND_JOINTS, NUM_BETAS = 1, 15, N_BETAS
    shapedirs: Tensor
    v_template: Tensor
    J_regressor: Tensor
    faces_tensor: Tensor
    hand_components: Tensor
    pose_mean: Tensor
    joint_regressor_extra: Tensor

    def __init__(
        self,
        model_path: str | Path | HandModelArrays,
        is_rhand: bool = True,
        *,
        use_pca: bool = True,
        num_pca_comps: int = 6,
        flat_hand_mean: bool = False,
        num_betas: int = N_BETAS,
        num_hand_joints: int = 15,
        v_template: Tensor | np.ndarray | None = None,
        dtype: torch.dtype = torch.float32,
        joint_regressor_extra: str | Path | None = None,
        joint_mapper: None = None,
        **others: Any,
    ) -> None:
        super().__init__()
        _check_arguments(num_betas, num_hand_joints, joint_mapper, others)
        arrays = model_path if isinstance(model_path, HandModelArrays) else read_mano(model_path, is_right=is_rhand)
        if v_template is not None:
            template = v_template.detach().cpu().numpy() if isinstance(v_template, Tensor) else v_template
            arrays = HandModelArrays(**{**vars(arrays), "v_template": template})
        self.is_rhand, self.use_pca, self.num_pca_comps = is_rhand, use_pca, num_pca_comps
        self.flat_hand_mean, self.num_betas = flat_hand_mean, num_betas
        self._register_smplx_buffers(arrays, dtype)
        self.layer = HandModel(arrays, dtype)
        if joint_regressor_extra is not None:
            self.register_buffer("joint_regressor_extra", _read_regressor(joint_regressor_extra).to(dtype))
        self.register_load_state_dict_post_hook(_follow_loaded_buffers)

    def _register_smplx_buffers(self, arrays: HandModelArrays, dtype: torch.dtype) -> None:
        """All that a checkpoint holds under `mano.`, in smplx's layout."""
        n = len(arrays.v_template)
        hand_mean = np.zeros_like(arrays.hands_mean) if self.flat_hand_mean else arrays.hands_mean
        floats = {
            "shapedirs": arrays.shapedirs,
            "v_template": arrays.v_template,
            "J_regressor": arrays.J_regressor,
            "posedirs": arrays.posedirs.reshape(3 * n, -1).T,
            "lbs_weights": arrays.lbs_weights,
            "hand_mean": hand_mean,
            "pose_mean": np.concatenate([np.zeros(3, hand_mean.dtype), hand_mean]),
        }
        if self.use_pca:
            floats["hand_components"] = arrays.hands_components[: self.num_pca_comps]
        integers = {
            "faces_tensor": arrays.faces,
            "parents": arrays.parents,
            "extra_joints_idxs": arrays.fingertips,
            "joint_map": np.array(MANO_TO_OPENPOSE),
        }
        for name, array in floats.items():
            self.register_buffer(name, torch.tensor(np.ascontiguousarray(array), dtype=dtype))
        for name, array in integers.items():
            self.register_buffer(name, torch.tensor(array, dtype=torch.int64))
        self.vertex_joint_selector = _VertexJointSelector(torch.tensor(arrays.fingertips, dtype=torch.int64))

    @property
    def arrays(self) -> HandModelArrays:
        """The hand model's arrays, as loaded last."""
        return self.layer.arrays

    @property
    def faces(self) -> np.ndarray:
        """Triangles (F, 3), int64."""
        return self.layer.arrays.faces

    def forward(
        self,
        betas: Tensor | None = None,
        global_orient: Tensor | None = None,
        hand_pose: Tensor | None = None,
        transl: Tensor | None = None,
        return_verts: bool = True,
        return_full_pose: bool = False,
        pose2rot: bool = False,
        **_unused: Any,
    ) -> MANOOutput:
        """Vertices and joints of a batch; what is not given is zero (identity).

        Args:
            betas: (B, 10), or (1, 10) for all.
            global_orient: rotation matrices (B, 1, 3, 3) or (B, 3, 3); axis-angle (B, 3) with `pose2rot`.
            hand_pose: rotation matrices (B, 15, 3, 3); with `pose2rot` axis-angle (B, 45), or components (B,
            num_pca_comps). transl: (B, 3). return_verts: False leaves `vertices` None and computes the joints only.
            return_full_pose: give `full_pose` (B, 16, 3, 3) too. pose2rot: poses are axis-angle (or PCA), to which
            `pose_mean` is added, as smplx does. Matrices are taken as they are.
        """
        given = [t for t in (betas, global_orient, hand_pose, transl) if t is not None]
        batch = max((len(t) for t in given), default=1)
        like = self.v_template
        betas = like.new_zeros(batch, N_BETAS) if betas is None else betas
        wrist, fingers = self._rotations(global_orient, hand_pose, batch, pose2rot)
        needs_vertices = return_verts or hasattr(self, "joint_regressor_extra")
        if needs_vertices:
            vertices, joints = self.layer(wrist, fingers, betas, transl)
        else:
            vertices, joints = None, self.layer.joints(wrist, fingers, betas, transl)
        if hasattr(self, "joint_regressor_extra"):
            joints = torch.cat([joints, self.joint_regressor_extra @ vertices], dim=1)
        return MANOOutput(
            vertices=vertices if return_verts else None,
            joints=joints,
            betas=betas,
            global_orient=wrist[:, None] if global_orient is None else global_orient,
            hand_pose=fingers if hand_pose is None else hand_pose,
            transl=transl,
            full_pose=torch.cat([wrist[:, None], fingers], dim=1) if return_full_pose else None,
        )

    def _rotations(
        self, global_orient: Tensor | None, hand_pose: Tensor | None, batch: int, pose2rot: bool
    ) -> tuple[Tensor, Tensor]:
        """Matrices (B, 3, 3) of the wrist and (B, 15, 3, 3) of the fingers."""
        if pose2rot:
            wrist = self.v_template.new_zeros(batch, 3) if global_orient is None else global_orient.reshape(-1, 3)
            fingers = self.v_template.new_zeros(batch, 45) if hand_pose is None else hand_pose.flatten(1)
            if self.use_pca and fingers.shape[1] == self.num_pca_comps and fingers.shape[1] != 45:
                fingers = fingers @ self.hand_components
            wrist, fingers = wrist + self.pose_mean[:3], fingers + self.pose_mean[3:]
            wrist, fingers = aa_to_rotmat(wrist), aa_to_rotmat(fingers.unflatten(1, (N_JOINTS - 1, 3)))
        else:
            identity = torch.eye(3, dtype=self.v_template.dtype, device=self.v_template.device)
            wrist = identity.expand(batch, 3, 3) if global_orient is None else global_orient.reshape(-1, 3, 3)
            fingers = identity.expand(batch, N_JOINTS - 1, 3, 3) if hand_pose is None else hand_pose
            fingers = fingers.reshape(-1, N_JOINTS - 1, 3, 3)
        return wrist.expand(batch, 3, 3), fingers.expand(batch, N_JOINTS - 1, 3, 3)


def _follow_loaded_buffers(module: nn.Module, _incompatible: Any) -> None:
    """Rebuild the layer from the buffers just loaded: they may come from another MANO file than the one given."""
    assert isinstance(module, MANO)
    if module.v_template.is_meta:
        return  # a partial load into a model on the meta device: nothing to build from yet
    loaded = arrays_from_state_dict(module.state_dict(), prefix="")
    kept = module.layer.arrays
    if np.array_equal(kept.faces, loaded.faces):  # the same mesh: keep what the buffers do not hold
        names = ("name", "hands_components", "hands_mean", "wrist_faces", "uv", "uv_faces")
        loaded = HandModelArrays(**{**vars(loaded), **{name: getattr(kept, name) for name in names}})
    module.layer = HandModel(loaded, module.v_template.dtype).to(module.v_template.device)


def _check_arguments(num_betas: int, num_hand_joints: int, joint_mapper: Any, others: dict[str, Any]) -> None:
    if num_betas != N_BETAS or num_hand_joints != N_JOINTS - 1:
        raise ValueError(f"MANO must have 10 betas and 15 hand joints, got {num_betas} and {num_hand_joints}")
    if joint_mapper is not None:
        raise ValueError("joint_mapper must be None: reorder the output's 21 joints (OpenPose's order) instead")
    unknown = sorted(set(others) - _WITHOUT_EFFECT)
    if unknown:
        raise TypeError(f"MANO got unexpected arguments {unknown}; known beyond its own: {sorted(_WITHOUT_EFFECT)}")


def _read_regressor(path: str | Path) -> Tensor:
    path = Path(path)
    matrix = np.load(path) if path.suffix == ".npy" else load_pickle(path)
    return torch.as_tensor(np.asarray(matrix, np.float32))
