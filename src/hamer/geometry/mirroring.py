"""Left hands as mirrored right hands: the mirror plane is x = 0 of the camera (or hand) frame.

All functions are their own inverses and take torch tensors and NumPy arrays alike, any leading dimensions. They
return a new array of the same kind, dtype and device.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

ArrayT = TypeVar("ArrayT", np.ndarray, torch.Tensor)


def mirror_points(points: ArrayT) -> ArrayT:
    """Points (..., 3) with x negated."""
    return points * _signs((-1.0, 1.0, 1.0), points)


def mirror_axis_angle(axis_angle: ArrayT) -> ArrayT:
    """Axis-angle vectors (..., 3) with y and z negated.

    An axis is a pseudovector: it keeps its component along the mirror's normal.
    """
    return axis_angle * _signs((1.0, -1.0, -1.0), axis_angle)


def mirror_rotmat(rotmat: ArrayT) -> ArrayT:
    """Rotation matrices (..., 3, 3) as M R M with M = diag(-1, 1, 1)."""
    return rotmat * _signs(((1.0, -1.0, -1.0), (-1.0, 1.0, 1.0), (-1.0, 1.0, 1.0)), rotmat)


def mirror_faces(faces: ArrayT) -> ArrayT:
    """Triangles (..., 3) with the last two corners swapped, so that a mirrored mesh's normals point outwards."""
    return faces[..., [0, 2, 1]]


def _signs(values: tuple, like: ArrayT) -> ArrayT:
    if isinstance(like, torch.Tensor):
        return torch.tensor(values, dtype=like.dtype, device=like.device)
    return np.asarray(values, dtype=np.asarray(like).dtype)
