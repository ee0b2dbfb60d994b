"""The original's `hamer.utils.pose_utils` (drop-in)."""

from __future__ import annotations

from hamer.evaluation.original import (
    Evaluator,
    EvaluatorPCK,
    compute_similarity_transform,
    eval_pose,
    reconstruction_error,
)

__all__ = ["Evaluator", "EvaluatorPCK", "compute_similarity_transform", "eval_pose", "reconstruction_error"]
