"""Rotations: axioms, round trips, gradients, several dtypes and batch shapes, and the original's numbers."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hamer.geometry.rotations import (
    aa_to_rotmat,
    geodesic_angle,
    rot6d_to_rotmat,
    rotmat_to_aa,
    rotmat_to_quat,
    rotmat_to_rot6d,
)

BATCHES = [(), (1,), (3,), (2, 3), (0,), (2, 1, 4)]
# Rounding of a handful of products and sums of numbers up to 1.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6}


def random_vectors(batch: tuple[int, ...], dtype: torch.dtype = torch.float64, scale: float = 1.5) -> torch.Tensor:
    return scale * torch.randn(*batch, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("batch", BATCHES)
def test_matrices_are_rotations(batch: tuple[int, ...], dtype: torch.dtype) -> None:
    rotmat = aa_to_rotmat(random_vectors(batch, dtype))
    assert rotmat.shape == (*batch, 3, 3)
    assert rotmat.dtype == dtype
    identity = torch.eye(3, dtype=dtype).expand(*batch, 3, 3)
    torch.testing.assert_close(rotmat @ rotmat.mT, identity, atol=TOLERANCE[dtype], rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotmat), torch.ones(batch, dtype=dtype), atol=TOLERANCE[dtype], rtol=0)


def test_axis_angle_turns_by_the_right_hand_rule() -> None:
    quarter_about_z = aa_to_rotmat(torch.tensor([0.0, 0.0, math.pi / 2]))
    torch.testing.assert_close(quarter_about_z @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-6, 0.0999, 0.1, 0.1001, 1.0, 3.0, math.pi - 1e-9, math.pi])
def test_axis_angle_equals_matrix_exponential(angle: float) -> None:
    axis = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64), dim=0)
    x, y, z = (angle * axis).tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    torch.testing.assert_close(aa_to_rotmat(angle * axis), torch.linalg.matrix_exp(cross), atol=1e-14, rtol=0)


def test_agrees_with_opencv() -> None:
    vectors = random_vectors((20,))
    expected = np.stack([cv2.Rodrigues(v)[0] for v in vectors.numpy()])
    np.testing.assert_allclose(aa_to_rotmat(vectors).numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-3, 0.0999, 0.1001, 1.0, 2.0, 3.0, 3.14])
def test_axis_angle_round_trip(angle: float, dtype: torch.dtype) -> None:
    axes = torch.nn.functional.normalize(random_vectors((50,)), dim=-1)
    vectors = (angle * axes).to(dtype)
    back = rotmat_to_aa(aa_to_rotmat(vectors))
    # Near pi the angle comes from atan2(sin, cos ~ 0): no loss; near 0 from sine: absolute rounding of the matrix.
    torch.testing.assert_close(back, vectors, atol=4 * TOLERANCE[dtype], rtol=0)


def test_angles_beyond_pi_come_back_as_the_same_rotation() -> None:
    vectors = random_vectors((50,), scale=6.0)
    rotmat = aa_to_rotmat(vectors)
    back = rotmat_to_aa(rotmat)
    assert back.norm(dim=-1).max() <= math.pi + 1e-12
    torch.testing.assert_close(aa_to_rotmat(back), rotmat, atol=1e-13, rtol=0)


@pytest.mark.parametrize("axis", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.6, 0.8, 0), (0.0, -0.6, 0.8)])
def test_half_turns_round_trip(axis: tuple[float, float, float]) -> None:
    n = torch.tensor(axis, dtype=torch.float64)
    rotmat = 2 * torch.outer(n, n) - torch.eye(3, dtype=torch.float64)
    vector = rotmat_to_aa(rotmat)
    torch.testing.assert_close(vector.norm(), torch.tensor(math.pi, dtype=torch.float64))
    torch.testing.assert_close(aa_to_rotmat(vector), rotmat, atol=1e-13, rtol=0)


def test_quaternions_are_unit_and_rotate_alike() -> None:
    vectors = random_vectors((40,))
    quat = rotmat_to_quat(aa_to_rotmat(vectors))
    half = vectors.norm(dim=-1, keepdim=True) / 2
    expected = torch.cat([half.cos(), half.sin() / (2 * half) * vectors], dim=-1)
    expected = torch.where(expected[:, :1] < 0, -expected, expected)
    torch.testing.assert_close(quat, expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize("batch", BATCHES)
def test_rot6d_round_trip(batch: tuple[int, ...]) -> None:
    rotmat = aa_to_rotmat(random_vectors(batch))
    torch.testing.assert_close(rot6d_to_rotmat(rotmat_to_rot6d(rotmat)), rotmat, atol=1e-14, rtol=0)


def test_rot6d_of_three_rows_is_the_rows_one_by_one() -> None:
    """The original's cross product ran over the batch there."""
    x = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    together = rot6d_to_rotmat(x)
    torch.testing.assert_close(together, torch.stack([rot6d_to_rotmat(row) for row in x]))
    torch.testing.assert_close(torch.linalg.det(together), torch.ones(3, dtype=torch.float64))


def test_rot6d_zero_row_is_finite_with_finite_gradient() -> None:
    x = torch.zeros(2, 6, dtype=torch.float64, requires_grad=True)
    rotmat = rot6d_to_rotmat(x)
    assert (rotmat == 0).all()
    rotmat.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.05, 0.0999999, 0.1000001, 1.0, 3.1])
def test_gradients(angle: float) -> None:
    axis = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64), dim=0)
    vector = (angle * axis).requires_grad_()
    assert torch.autograd.gradcheck(aa_to_rotmat, vector, atol=1e-6)
    assert torch.autograd.gradgradcheck(aa_to_rotmat, vector, atol=1e-6)
    # Along the manifold: a matrix pushed off SO(3) has no axis-angle, so the check goes through aa_to_rotmat.
    other = aa_to_rotmat(torch.tensor([0.2, 0.1, -0.3], dtype=torch.float64)) if angle < 1e-6 else torch.eye(3).double()
    assert torch.autograd.gradcheck(lambda v: rotmat_to_aa(other @ aa_to_rotmat(v)), vector, atol=1e-6)


def test_gradient_of_axis_angle_is_finite_at_identity_and_half_turn() -> None:
    half_turn = torch.diag(torch.tensor([1.0, -1, -1]))
    rotmat = torch.stack([torch.eye(3), half_turn]).requires_grad_()
    rotmat_to_aa(rotmat).sum().backward()
    assert rotmat.grad is not None
    assert rotmat.grad.isfinite().all()


def test_functional_transforms_see_through() -> None:
    """Fitting takes Jacobians with torch.func."""
    vectors = random_vectors((4,))
    jacobian = torch.func.vmap(torch.func.jacfwd(aa_to_rotmat))(vectors)
    expected = torch.stack([torch.autograd.functional.jacobian(aa_to_rotmat, v) for v in vectors])
    torch.testing.assert_close(jacobian, expected)
    assert torch.func.vmap(torch.func.jacrev(rotmat_to_aa))(aa_to_rotmat(vectors)).isfinite().all()


def test_geodesic_angle() -> None:
    start = aa_to_rotmat(random_vectors((6,)))
    angles = torch.tensor([0.0, 1e-10, 1e-4, 1.0, 3.0, math.pi], dtype=torch.float64)
    turned = start @ aa_to_rotmat(angles[:, None] * torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64))
    torch.testing.assert_close(geodesic_angle(start, turned), angles, atol=1e-13, rtol=0)


def test_half_precision_keeps_its_dtype() -> None:
    vectors = random_vectors((5,), torch.bfloat16)
    assert aa_to_rotmat(vectors).dtype == torch.bfloat16
    # bfloat16 has 8 bits of mantissa: products of numbers up to 1 are off by some 2^-7.
    torch.testing.assert_close(aa_to_rotmat(vectors).double(), aa_to_rotmat(vectors.double()), atol=0.04, rtol=0)


def test_nan_stays_in_its_row() -> None:
    vectors = random_vectors((3,))
    vectors[1, 0] = torch.nan
    rotmat = aa_to_rotmat(vectors)
    assert rotmat[1].isnan().any()
    assert rotmat[[0, 2]].isfinite().all()
    assert rotmat_to_aa(rotmat)[[0, 2]].isfinite().all()


def test_golden_rotations(golden: Path) -> None:
    data = {name: torch.as_tensor(array) for name, array in np.load(golden / "hamer/geometry.npz").items()}
    # 1e-6: float32 rounding of another order of operations.
    torch.testing.assert_close(aa_to_rotmat(data["aa"]), data["aa_rotmat"], atol=1e-6, rtol=0)
    rotmat = rot6d_to_rotmat(data["rot6d"])
    compared = torch.arange(len(rotmat)) != 5  # parallel vectors: the original's result is rounding noise
    torch.testing.assert_close(rotmat[compared], data["rot6d_rotmat"][compared], atol=1e-6, rtol=0)


def test_golden_mano_rotations_of_both_formulas(golden: Path) -> None:
    data = {name: torch.as_tensor(array) for name, array in np.load(golden / "hamer/mano.npz").items()}
    rotmat = aa_to_rotmat(data["axis_angle"])
    torch.testing.assert_close(rotmat, data["rotmat"], atol=1e-6, rtol=0)
    torch.testing.assert_close(rotmat, data["rotmat_smplx"], atol=1e-6, rtol=0)
