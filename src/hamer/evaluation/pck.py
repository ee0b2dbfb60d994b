"""2D keypoints: the share that lies near enough (PCK) and the mean squared distance (kpl2). NumPy.

Distances are in units of the hand's box, so that near and far hands count alike. NaN marks a joint without a visible
label, infinity one of a hand that was not found.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

ORIGINAL_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""What the original's EvaluatorPCK takes by default."""
PAPER_THRESHOLDS = (0.05, 0.1, 0.15)
"""What the paper's tables on HInt show."""

Errors = Float[np.ndarray, "n_hands n_joints"]


def normalised_distances(
    prediction: Float[np.ndarray, "*batch n_joints 2"],
    truth: Float[np.ndarray, "*batch n_joints 2"],
    visible: Bool[np.ndarray, "*batch n_joints"],
    box_size: Float[np.ndarray, "*batch"],
) -> Float[np.ndarray, "*batch n_joints"]:
    """Distances of keypoints over the side of the hand's box; NaN where the truth is not visible.

    Args:
        prediction, truth: in one frame and unit, e.g. pixels of the picture.
        box_size: longer side of the annotated box, before any enlargement, in the same unit.
    """
    distances = np.linalg.norm(np.asarray(prediction, np.float64) - truth, axis=-1)
    return np.where(visible, distances / np.asarray(box_size, np.float64)[..., None], np.nan)


def pck_per_joint(
    errors: Errors, thresholds: Sequence[float] = PAPER_THRESHOLDS
) -> Float[np.ndarray, "n_thresholds n_joints"]:
    """Share of the hands in which a joint lies below each threshold, of those where it is visible; NaN if in none."""
    visible = ~np.isnan(errors)
    limits = np.asarray(thresholds, np.float64)
    hits = np.stack([(np.where(visible, errors, np.inf) < limit).sum(0) for limit in limits]).astype(np.float64)
    count = visible.sum(0)
    return np.divide(hits, count, out=np.full_like(hits, np.nan), where=count > 0)


def mean_pck(errors: Errors, thresholds: Sequence[float] = PAPER_THRESHOLDS) -> Float[np.ndarray, " n_thresholds"]:
    """Mean over joints of `pck_per_joint`, as the original averages; joints that are visible nowhere are left out."""
    per_joint = pck_per_joint(errors, thresholds)
    known = ~np.isnan(per_joint[0]) if len(per_joint) else np.zeros(0, bool)
    return per_joint[:, known].mean(1) if known.any() else np.full(len(per_joint), np.nan)


def keypoint_l2(errors: Errors, confidence: Float[np.ndarray, "n_hands n_joints"]) -> Float[np.ndarray, " n_hands"]:
    """Mean over all joints of confidence times squared distance (kpl2), 0 for joints without a label.

    The original multiplies the confidence by the box's enlargement too, so its figure is ours times that factor.
    """
    squared = np.where(np.isnan(errors), 0.0, np.square(errors))
    return (np.where(confidence > 0, confidence * squared, 0.0)).mean(-1)
