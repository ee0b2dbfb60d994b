"""Distances between predicted and true points, averaged over the points of a hand: torch, any leading dimensions.

Every function gives one number a hand, in the unit of its input, so that callers choose what to average, merge and
plot. A mean over hands is `.mean()`. `valid` marks the points that have labels; a hand without any gives NaN.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hamer.evaluation.alignment import procrustes_proper, procrustes_reflecting, root_relative

Points = Float[Tensor, "*batch n_points 3"]
Valid = Bool[Tensor, "*batch n_points"]
PerHand = Float[Tensor, "*batch"]


def point_errors(
    prediction: Float[Tensor, "*batch n_points n_axes"], truth: Float[Tensor, "*batch n_points n_axes"]
) -> Float[Tensor, "*batch n_points"]:
    """Distance of every point to its true place, 2D or 3D."""
    return (prediction - truth).square().sum(-1).sqrt()


def mean_error(prediction: Points, truth: Points, valid: Valid | None = None) -> PerHand:
    """Mean distance as the points stand, nothing aligned: `xyz` and `mesh` of the public programs."""
    return mean_over_valid(point_errors(prediction, truth), valid)


def mpjpe(prediction: Points, truth: Points, valid: Valid | None = None, *, root: int = 0) -> PerHand:
    """Mean distance of joints relative to joint `root`, as in the original's Evaluator."""
    return mean_error(root_relative(prediction, root), root_relative(truth, root), valid)


def pa_mpjpe(prediction: Points, truth: Points, valid: Valid | None = None) -> PerHand:
    """Mean distance after alignment by a proper rotation, scale and translation ("reconstruction error").

    Give joints for PA-MPJPE and vertices for PA-MPVPE. At least three points of every hand must be valid.
    """
    weights = None if valid is None else valid.to(prediction.dtype)
    return mean_error(procrustes_proper(prediction, truth, weights), truth, valid)


def pa_mpjpe_reflecting(prediction: Points, truth: Points) -> PerHand:
    """The same where the alignment may reflect: `al` of FreiHAND's and HO-3D's programs, and what papers quote for them."""
    return mean_error(procrustes_reflecting(prediction, truth), truth)


def mpvpe(
    vertices: Float[Tensor, "*batch n_vertices 3"],
    true_vertices: Float[Tensor, "*batch n_vertices 3"],
    root: Float[Tensor, "*batch 3"],
    true_root: Float[Tensor, "*batch 3"],
) -> PerHand:
    """Mean distance of vertices, each hand relative to its own root joint."""
    return mean_error(vertices - root[..., None, :], true_vertices - true_root[..., None, :])


def mean_over_valid(values: Float[Tensor, "*batch n_points"], valid: Valid | None = None) -> PerHand:
    """Mean over the last dimension of what is valid; NaN where nothing is."""
    if valid is None:
        return values.mean(-1)
    zero = torch.zeros((), dtype=values.dtype, device=values.device)
    return values.where(valid, zero).sum(-1) / valid.sum(-1)
