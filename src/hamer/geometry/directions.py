"""Directions in a picture and turns about the viewing axis, clockwise as seen (x right, y down, z forward). NumPy only."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hamer.geometry.boxes import Number


def upward_angle(start: Float[ndarray, "*batch 2"], end: Float[ndarray, "*batch 2"]) -> Float[ndarray, "*batch"]:
    """Angle, radians, by which what points from `start` to `end`, px, is turned from pointing up."""
    direction = end - start
    return np.asarray(np.arctan2(direction[..., 0], -direction[..., 1]))


def turns_about_view(degrees: Float[ndarray, "*batch"] | Number) -> Float[ndarray, "*batch 3 3"]:
    """Rotation matrices of turns by angles about the camera's axis."""
    angle = np.deg2rad(np.asarray(degrees, np.float64))
    sin, cos, zero, one = np.sin(angle), np.cos(angle), np.zeros_like(angle), np.ones_like(angle)
    rows = [[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]]
    return np.stack([np.stack(row, -1) for row in rows], -2)
