"""What is done to a prediction before its distance to the truth is taken: four ways, each under its own name.

All take (..., N, 3) points in any unit, one hand a row of the leading dimensions, and give the prediction moved.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from hamer.geometry.similarity import align, apply_similarity

Points = Float[Tensor, "*batch n_points 3"]


def root_relative(points: Points, root: int = 0) -> Points:
    """Points as seen from their own point `root`: what a method says about the pose and not about where the hand is."""
    return points - points[..., root : root + 1, :]


def procrustes_proper(
    prediction: Points, truth: Points, weights: Float[Tensor, "*batch n_points"] | None = None
) -> Points:
    """The prediction turned, scaled and moved to lie nearest to the truth; never reflected, as in the original's evaluation.

    Args:
        weights: how much a point counts, e.g. 0 for one without a label; all points are moved nevertheless.
    """
    return apply_similarity(prediction, *align(prediction, truth, weights=weights))


def procrustes_reflecting(
    prediction: Points, truth: Points, weights: Float[Tensor, "*batch n_points"] | None = None
) -> Points:
    """The same, reflected where that fits better: what the evaluation programs of FreiHAND and HO-3D do.

    A left hand predicted for a right one scores well here. For predictions that are no mirror images of the truth, both
    alignments agree.
    """
    return apply_similarity(prediction, *align(prediction, truth, allow_reflection=True, weights=weights))


def scale_translation(prediction: Points, truth: Points, root: int = 0, end: int = 4) -> Points:
    """The prediction with its `root` put on the truth's and the bone from `root` to `end` given the truth's length.

    HO-3D's second alignment. In that set's joint order, joint 4 is the base of the middle finger; in ours that is 9. A
    prediction whose bone has no length keeps its size.
    """
    predicted_length = (prediction[..., end, :] - prediction[..., root, :]).norm(dim=-1)
    true_length = (truth[..., end, :] - truth[..., root, :]).norm(dim=-1)
    scale = true_length / predicted_length.where(predicted_length > 0, true_length)
    return scale[..., None, None] * root_relative(prediction, root) + truth[..., root : root + 1, :]
