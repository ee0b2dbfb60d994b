"""The original's import path for rotations and projection; the functions live in `hamer.geometry`."""

from hamer.geometry.cameras import perspective_projection
from hamer.geometry.rotations import aa_to_rotmat, rot6d_to_rotmat

__all__ = ["aa_to_rotmat", "perspective_projection", "rot6d_to_rotmat"]
