"""The original's import path for geometry, with its signatures and shapes."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import torch

from hamer.utils.geometry import aa_to_rotmat, perspective_projection, rot6d_to_rotmat


def test_signatures() -> None:
    names = list(inspect.signature(perspective_projection).parameters)
    assert names == ["points", "translation", "focal_length", "camera_center", "rotation"]
    assert list(inspect.signature(aa_to_rotmat).parameters) == ["theta"]
    assert list(inspect.signature(rot6d_to_rotmat).parameters) == ["x"]


def test_rot6d_flattens_as_the_head_expects() -> None:
    x = torch.randn(2, 96, generator=torch.Generator().manual_seed(0))
    assert rot6d_to_rotmat(x).shape == (32, 3, 3)
    torch.testing.assert_close(rot6d_to_rotmat(x.reshape(2, 16, 6)), rot6d_to_rotmat(x))


def test_golden_rotations_by_the_original_names(golden: Path) -> None:
    data = {name: torch.as_tensor(array) for name, array in np.load(golden / "hamer/geometry.npz").items()}
    torch.testing.assert_close(aa_to_rotmat(data["aa"]), data["aa_rotmat"], atol=1e-6, rtol=0)
    result = rot6d_to_rotmat(data["rot6d"])
    compared = torch.arange(len(result)) != 5  # parallel vectors: rounding noise there
    torch.testing.assert_close(result[compared], data["rot6d_rotmat"][compared], atol=1e-6, rtol=0)
