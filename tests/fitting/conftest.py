"""A small hand to fit: 26 vertices at the places of a real hand's joints, with everything that makes skinning hard."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hamer.hand_models import HandModel, HandModelArrays

# Rest joints of a right hand in metres, MANO's axes and order (wrist, index, middle, little, ring, thumb), then the tips.
_JOINTS = (
    [(0.0, 0.0, 0.0)]
    + [(-0.090, 0.002, 0.022), (-0.122, -0.001, 0.025), (-0.146, -0.004, 0.027)]
    + [(-0.095, 0.004, 0.000), (-0.127, 0.001, 0.000), (-0.154, -0.002, -0.001)]
    + [(-0.069, -0.002, -0.039), (-0.086, -0.004, -0.047), (-0.102, -0.006, -0.054)]
    + [(-0.083, 0.002, -0.021), (-0.112, 0.000, -0.027), (-0.137, -0.003, -0.032)]
    + [(-0.025, -0.010, 0.028), (-0.050, -0.016, 0.050), (-0.072, -0.020, 0.068)]
)
_TIPS = [
    (-0.093, -0.027, 0.083),
    (-0.170, -0.008, 0.029),
    (-0.180, -0.006, -0.002),
    (-0.160, -0.007, -0.037),
    (-0.120, -0.009, -0.060),
]
_TIP_BONES = (15, 3, 6, 12, 9)


@pytest.fixture(scope="session")
def stick_hand() -> HandModel:
    """A hand with blended fingertip weights, pose correctives of millimetres and ten shapes; float64."""
    rng = np.random.default_rng(0)
    wrist = np.array([0.09, 0.005, 0.006])  # as MANO's, the wrist is not the origin
    points = np.array(_JOINTS + _TIPS + _TIPS[:5]) + wrist
    points[21:] += 0.004
    n = len(points)
    shapedirs = rng.normal(0, 3e-4, (n, 3, 10))
    shapedirs[:, :, 0] += 0.04 * (points - wrist)  # the first beta is overall size, the second the width
    shapedirs[:, 2, 1] += 0.06 * (points - wrist)[:, 2]
    weights = np.zeros((n, 16))
    weights[np.arange(16), np.arange(16)] = 1
    for row, bone in enumerate(_TIP_BONES * 2, start=16):
        weights[row, bone], weights[row, bone - 1], weights[row, 0] = 0.90, 0.07, 0.03
    arrays = HandModelArrays(
        name="open",
        v_template=points,
        shapedirs=shapedirs,
        posedirs=rng.normal(0, 1e-3, (n, 3, 135)),
        J_regressor=np.eye(16, n),
        lbs_weights=weights,
        faces=np.array([[0, 1, 4]]),
        fingertips=np.arange(16, 21),
    )
    return HandModel(arrays, dtype=torch.float64)
