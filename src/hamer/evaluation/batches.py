"""A batch of predicted hands with what is known of the truth: checked once, NumPy, nothing changed in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

N_JOINTS = 21


@dataclass(frozen=True)
class EvaluationBatch:
    """N hands. Leave out what is not there: a pair (prediction and truth) that is incomplete is not scored.

    Prediction and truth of a pair share a frame: 3D both in the camera's (or both mirrored, as the network's crops of left
    hands are), 2D both in the picture (or both in the crop).

    Attributes:
        joints: (N, 21, 3) metres, predicted.
        true_joints: (N, 21, 3) metres.
        joints_valid: (N, 21) bool, which true joints have a 3D label; default all.
        vertices, true_vertices: (N, V, 3) metres, the same vertices.
        keypoints_2d: (N, 21, 2) predicted, in the unit of `box_size`.
        true_keypoints_2d: (N, 21, 2) in the same frame and unit.
        keypoint_confidence: (N, 21) of the true keypoints; above 0.5 counts as visible. Default 1.
        box_size: (N,) longer side of the hand's box, not enlarged, in the unit of the keypoints.
        is_right: (N,) bool, the true side.
        scores: (N,) how sure the prediction is, in any unit that rises with certainty.
        ids: (N,) names of the hands, e.g. picture and person; numbered by default.
    """

    joints: np.ndarray | None = None
    true_joints: np.ndarray | None = None
    joints_valid: np.ndarray | None = None
    vertices: np.ndarray | None = None
    true_vertices: np.ndarray | None = None
    keypoints_2d: np.ndarray | None = None
    true_keypoints_2d: np.ndarray | None = None
    keypoint_confidence: np.ndarray | None = None
    box_size: np.ndarray | None = None
    is_right: np.ndarray | None = None
    scores: np.ndarray | None = None
    ids: Sequence[str] | np.ndarray | None = None

    def __post_init__(self) -> None:
        n = _length(self)
        meshes = [_numpy(v) for v in (self.vertices, self.true_vertices) if v is not None]
        n_vertices = meshes[0].shape[1] if meshes and meshes[0].ndim == 3 else 0
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            "joints": ((n, N_JOINTS, 3), np.float64),
            "true_joints": ((n, N_JOINTS, 3), np.float64),
            "joints_valid": ((n, N_JOINTS), bool),
            "vertices": ((n, n_vertices, 3), np.float64),
            "true_vertices": ((n, n_vertices, 3), np.float64),
            "keypoints_2d": ((n, N_JOINTS, 2), np.float64),
            "true_keypoints_2d": ((n, N_JOINTS, 2), np.float64),
            "keypoint_confidence": ((n, N_JOINTS), np.float64),
            "box_size": ((n,), np.float64),
            "is_right": ((n,), bool),
            "scores": ((n,), np.float64),
            "ids": ((n,), np.str_),
        }
        for name, (shape, dtype) in shapes.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _checked(name, value, shape, dtype))
        if (self.keypoints_2d is None) != (self.box_size is None):
            raise ValueError(
                "EvaluationBatch.keypoints_2d and .box_size go together: distances are over the box's side"
            )

    def __len__(self) -> int:
        return _length(self)

    @classmethod
    def from_network(
        cls,
        output: Mapping[str, Any],
        batch: Mapping[str, Any],
        *,
        true_vertices: Any = None,
        scores: Any = None,
        ids: Sequence[str] | None = None,
    ) -> EvaluationBatch:
        """What the network gave for a batch of an evaluation data set, in the original's keys.

        Keypoints are compared in the picture, as PCK of the original is: those of left hands are mirrored back from the
        crop. 3D points of left hands stay mirrored on both sides, which changes no distance.

        Args:
            output: `pred_keypoints_3d`, `pred_vertices`, `pred_keypoints_2d` of `HAMER.forward`.
            batch: `keypoints_3d` (N, 21, 4), `orig_keypoints_2d` (N, 21, 3) px, `box_center`, `box_size`,
                `bbox_expand_factor`, `right`, as the evaluation data set gives them.
            true_vertices: (N, V, 3) in the frame of `pred_vertices`.
            scores, ids: as in the class.
        """
        given = {name: _numpy(batch[name]) for name in _BATCH_KEYS if name in batch}
        right = given["right"] > 0.5
        kept: dict[str, Any] = {"is_right": right, "scores": scores, "ids": ids}
        if "keypoints_3d" in given:
            kept |= {
                "joints": _numpy(output["pred_keypoints_3d"]),
                "true_joints": given["keypoints_3d"][..., :3],
                "joints_valid": given["keypoints_3d"][..., 3] > 0,
            }
        if true_vertices is not None:
            kept |= {"vertices": _numpy(output["pred_vertices"]), "true_vertices": _numpy(true_vertices)}
        if "orig_keypoints_2d" in given:
            side = np.where(right, 1.0, -1.0)[:, None, None] * [1.0, 0.0] + [0.0, 1.0]
            enlarged, center = given["box_size"].astype(np.float64), given["box_center"]
            in_crop = _numpy(output["pred_keypoints_2d"]).astype(np.float64) * side
            kept |= {
                "keypoints_2d": in_crop * enlarged[:, None, None] + center[:, None],
                "true_keypoints_2d": given["orig_keypoints_2d"][..., :2],
                "keypoint_confidence": given["orig_keypoints_2d"][..., 2],
                "box_size": enlarged / given["bbox_expand_factor"],
            }
        return cls(**kept)


_BATCH_KEYS = ("keypoints_3d", "orig_keypoints_2d", "box_center", "box_size", "bbox_expand_factor", "right")
_SIZED = ("joints", "vertices", "keypoints_2d", "true_joints", "true_keypoints_2d", "is_right", "scores", "ids")


def _length(batch: EvaluationBatch) -> int:
    for name in _SIZED:
        if getattr(batch, name) is not None:
            return len(getattr(batch, name))
    raise ValueError(f"EvaluationBatch needs at least one of {', '.join(_SIZED)}")


def _checked(name: str, value: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    array = _numpy(value).astype(dtype)
    if array.shape != shape:
        raise ValueError(f"EvaluationBatch.{name} must have shape {shape}, got {array.shape}")
    return array


def _numpy(value: Any) -> np.ndarray:
    """An array of its own type from an array, a list, or a tensor on any device."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) in ("torch.bfloat16", "torch.float16") else value
    return np.asarray(value)
