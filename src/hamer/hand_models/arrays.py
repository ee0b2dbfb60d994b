"""The arrays that make a hand model, NumPy only, checked once on construction.

V vertices, F faces, K closing faces, C pose components. Metres; the rest pose of a right hand in MANO's axes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hamer.hand_models.joints import MANO_FINGERTIPS, MANO_PARENTS, MANO_WRIST_FACES

N_JOINTS, N_BETAS, N_POSE = 16, 10, 45


def _no_faces() -> np.ndarray:
    return np.zeros((0, 3), np.int64)


@dataclass
class HandModelArrays:
    """A right hand for linear blend skinning (Romero et al., "Embodied Hands", 2017).

    `v_template` (V, 3) rest vertices; `shapedirs` (V, 3, 10) metres per beta; `posedirs` (V, 3, 135) metres per entry
    of the 15 joints' rotation matrices minus identity, row by row; `J_regressor` (16, V) joints of the shaped rest
    hand; `lbs_weights` (V, 16), rows adding up to 1; `faces` (F, 3); `hands_mean` (45,) and `hands_components` (C,
    45), C <= 45, axis-angle in radians; `fingertips` (5,) vertices, thumb to little; `parents` (16,), -1 for the
    wrist, a parent before its children; `wrist_faces` (K, 3) close the wrist for pictures; `uv` (T, 2) and `uv_faces`
    (F, 3) texture coordinates, or None.
    """

    name: Literal["mano", "open"]
    v_template: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray
    J_regressor: np.ndarray
    lbs_weights: np.ndarray
    faces: np.ndarray
    hands_mean: np.ndarray = field(default_factory=lambda: np.zeros(N_POSE, np.float32))
    hands_components: np.ndarray = field(default_factory=lambda: np.eye(N_POSE, dtype=np.float32))
    fingertips: np.ndarray = field(default_factory=lambda: np.array(MANO_FINGERTIPS))
    parents: np.ndarray = field(default_factory=lambda: np.array(MANO_PARENTS))
    wrist_faces: np.ndarray = field(default_factory=_no_faces)
    uv: np.ndarray | None = None
    uv_faces: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.name not in ("mano", "open"):
            raise ValueError(f"HandModelArrays.name must be 'mano' or 'open', got {self.name!r}")
        self.v_template = _floats(self.v_template, "v_template", (None, 3))
        n = len(self.v_template)
        self.shapedirs = _floats(self.shapedirs, "shapedirs", (n, 3, N_BETAS))
        self.posedirs = _floats(self.posedirs, "posedirs", (n, 3, 9 * (N_JOINTS - 1)))
        self.J_regressor = _floats(self.J_regressor, "J_regressor", (N_JOINTS, n))
        self.lbs_weights = _floats(self.lbs_weights, "lbs_weights", (n, N_JOINTS))
        self.hands_mean = _floats(self.hands_mean, "hands_mean", (N_POSE,))
        self.hands_components = _floats(self.hands_components, "hands_components", (None, N_POSE))
        self.faces = _indices(self.faces, "faces", (None, 3), n)
        self.fingertips = _indices(self.fingertips, "fingertips", (5,), n)
        self.wrist_faces = _indices(self.wrist_faces, "wrist_faces", (None, 3), n)
        self.parents = _parents(self.parents)
        if self.uv is not None:
            self.uv = _floats(self.uv, "uv", (None, 2))
        if self.uv_faces is not None:
            n_uv = n if self.uv is None else len(self.uv)
            self.uv_faces = _indices(self.uv_faces, "uv_faces", (len(self.faces), 3), n_uv)

    @property
    def closed_faces(self) -> np.ndarray:
        """`faces` followed by `wrist_faces`, (F + K, 3): a mesh without a hole at the wrist."""
        return np.concatenate([self.faces, self.wrist_faces])

    @property
    def left_faces(self) -> np.ndarray:
        """`faces` with the winding reversed, for the mirrored hand."""
        return self.faces[:, [0, 2, 1]]


def mano_wrist_faces(n_vertices: int) -> np.ndarray:
    """The original's closing faces (14, 3) for MANO's 778 vertices, none for any other mesh."""
    return np.array(MANO_WRIST_FACES) if n_vertices == 778 else _no_faces()


def _floats(value: Any, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    array = np.ascontiguousarray(value)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    _check_shape(array, name, shape)
    if not np.isfinite(array).all():
        raise ValueError(f"HandModelArrays.{name} must be finite, got NaN or infinity: the model file is damaged")
    return array


def _indices(value: Any, name: str, shape: tuple[int | None, ...], limit: int) -> np.ndarray:
    array = np.ascontiguousarray(value).astype(np.int64)
    _check_shape(array, name, shape)
    if array.size and (array.min() < 0 or array.max() >= limit):
        raise ValueError(
            f"HandModelArrays.{name} must index {limit} points, got numbers from {array.min()} to {array.max()}"
        )
    return array


def _parents(value: Any) -> np.ndarray:
    parents = np.ascontiguousarray(value).astype(np.int64)
    _check_shape(parents, "parents", (N_JOINTS,))
    parents[0] = -1  # MANO's file stores 2^32 - 1 there
    if (parents[1:] < 0).any() or (parents[1:] >= np.arange(1, N_JOINTS)).any():
        raise ValueError(f"HandModelArrays.parents must name an earlier joint for each but the first, got {parents}")
    return parents


def _check_shape(array: np.ndarray, name: str, shape: tuple[int | None, ...]) -> None:
    if array.ndim != len(shape) or any(w not in (None, g) for w, g in zip(shape, array.shape, strict=True)):
        expected = ", ".join("*" if n is None else str(n) for n in shape)
        raise ValueError(f"HandModelArrays.{name} must have shape ({expected}), got {array.shape}")
