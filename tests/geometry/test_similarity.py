"""Similarity alignment: recovery, optimality, reflections, and the original's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hamer.geometry.rotations import aa_to_rotmat
from hamer.geometry.similarity import align, apply_similarity


def cloud(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_recovers_a_similarity(batch: tuple[int, ...]) -> None:
    source = cloud(*batch, 21)
    rotation = aa_to_rotmat(cloud(*batch, seed=1))
    scale, translation = 0.5 + cloud(*batch, seed=2)[..., 0].abs(), cloud(*batch, seed=3)
    target = apply_similarity(source, scale, rotation, translation)
    found = align(source, target)
    for ours, true in zip(found, (scale, rotation, translation), strict=True):
        torch.testing.assert_close(ours, true, atol=1e-12, rtol=1e-12)


def test_reflection_only_where_allowed() -> None:
    source = cloud(21)
    target = source * torch.tensor([-1.0, 1, 1])
    _, proper, _ = align(source, target)
    scale, mirror, translation = align(source, target, allow_reflection=True)
    assert torch.linalg.det(proper) == pytest.approx(1)
    assert torch.linalg.det(mirror) == pytest.approx(-1)
    torch.testing.assert_close(apply_similarity(source, scale, mirror, translation), target)


def test_is_a_minimum() -> None:
    source, target = cloud(21), cloud(21, seed=5)
    scale, rotation, translation = align(source, target)
    best = (apply_similarity(source, scale, rotation, translation) - target).square().sum()
    for k in range(3):
        turn = aa_to_rotmat(1e-3 * torch.eye(3, dtype=torch.float64)[k])
        assert (apply_similarity(source, scale, turn @ rotation, translation) - target).square().sum() > best
    for factor in (0.999, 1.001):
        assert (apply_similarity(source, scale * factor, rotation, translation) - target).square().sum() > best


def test_weights_leave_points_out() -> None:
    source = cloud(21)
    target = source.clone()
    target[3] += 100
    weights = torch.ones(21, dtype=torch.float64)
    weights[3] = 0
    scale, rotation, translation = align(source, target, weights=weights)
    torch.testing.assert_close(scale, torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(rotation, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(translation, torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)


def test_without_scale_and_for_one_place() -> None:
    source = cloud(21)
    scale, rotation, _ = align(source, 3 * source, with_scale=False)
    assert scale == 1
    torch.testing.assert_close(rotation, torch.eye(3, dtype=torch.float64))
    scale, rotation, translation = align(torch.ones(5, 3), torch.rand(5, 3))
    assert scale == 0
    assert rotation.isfinite().all()
    assert translation.isfinite().all()


def test_golden_procrustes(golden: Path) -> None:
    """The original's alignment: proper rotations, also for the mirrored target of row 0."""
    data = np.load(golden / "hamer/evaluator.npz")
    source, target, expected = (torch.as_tensor(data[f"procrustes.{name}"]) for name in ("in", "target", "out"))
    aligned = apply_similarity(source, *align(source, target))
    torch.testing.assert_close(aligned, expected, rtol=1e-5, atol=1e-6)
