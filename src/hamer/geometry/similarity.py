"""Similarity alignment of point sets with known correspondence (Procrustes), torch, batched.

Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def align(
    source: Float[Tensor, "*batch n_points 3"],
    target: Float[Tensor, "*batch n_points 3"],
    allow_reflection: bool = False,
    *,
    weights: Float[Tensor, "*batch n_points"] | None = None,
    with_scale: bool = True,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3"]]:
    """(scale, rotation, translation) with `scale * source @ rotation.T + translation` nearest to `target`.

    Args:
        source: points to be moved.
        target: where they should lie.
        allow_reflection: let `rotation` have determinant -1 where that fits better, as FreiHAND's evaluation does. By
            default it is always a proper rotation, as in the original's evaluation.
        weights: how much each point counts, 0 or more, not all 0; equal by default.
        with_scale: False keeps the scale at 1.

    Source points that all coincide give scale 0 and some rotation.
    """
    weights = torch.ones_like(source[..., 0]) if weights is None else weights
    share = (weights / weights.sum(-1, keepdim=True)).unsqueeze(-1)
    source_mean, target_mean = (share * source).sum(-2, keepdim=True), (share * target).sum(-2, keepdim=True)
    source, target = source - source_mean, target - target_mean
    covariance = (share * target).transpose(-1, -2) @ source
    u, singular, vh = torch.linalg.svd(covariance)
    signs = torch.ones_like(singular)
    if not allow_reflection:
        flip = torch.linalg.det(u @ vh).sign()
        signs = torch.cat((signs[..., :2], flip.unsqueeze(-1)), dim=-1)
    rotation = (u * signs.unsqueeze(-2)) @ vh
    variance = (share * source * source).sum((-2, -1))
    scale = torch.ones_like(variance)
    if with_scale:
        smallest = torch.finfo(variance.dtype).tiny
        scale = (singular * signs).sum(-1) / variance.clamp_min(smallest)
    moved_mean = (source_mean @ rotation.transpose(-1, -2)).squeeze(-2)
    return scale, rotation, target_mean.squeeze(-2) - scale.unsqueeze(-1) * moved_mean


def apply_similarity(
    points: Float[Tensor, "*batch n_points 3"],
    scale: Float[Tensor, "*batch"],
    rotation: Float[Tensor, "*batch 3 3"],
    translation: Float[Tensor, "*batch 3"],
) -> Float[Tensor, "*batch n_points 3"]:
    """Points moved by what `align` returned."""
    return scale[..., None, None] * (points @ rotation.transpose(-1, -2)) + translation.unsqueeze(-2)
