"""The original's import path for rotations and projection, with its shapes; the mathematics is in `hamer.geometry`."""

from __future__ import annotations

from torch import Tensor

from hamer.geometry import rotations
from hamer.geometry.cameras import perspective_projection

__all__ = ["aa_to_rotmat", "perspective_projection", "rot6d_to_rotmat"]


def aa_to_rotmat(theta: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of axis-angle vectors (..., 3)."""
    return rotations.aa_to_rotmat(theta)


def rot6d_to_rotmat(x: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) of 6D vectors in a tensor of any shape with 6 N numbers, e.g. (batch, 16 * 6).

    Unlike the original this is right for N = 3 too.
    """
    return rotations.rot6d_to_rotmat(x.reshape(-1, 6))
