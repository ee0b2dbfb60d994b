"""Batches in, one row a hand out: the evaluator that our own evaluation uses.

What the original's does otherwise (and `hamer.utils.pose_utils` repeats) it does right: nothing is changed in place, 2D
errors of left hands are those of left hands, joints without labels are left out and counted.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hamer.evaluation.alignment import procrustes_proper, procrustes_reflecting, root_relative
from hamer.evaluation.auc import area
from hamer.evaluation.batches import EvaluationBatch
from hamer.evaluation.fscore import f_score
from hamer.evaluation.metrics import point_errors
from hamer.evaluation.pck import normalised_distances
from hamer.evaluation.results import EvaluationResult

logger = logging.getLogger(__name__)

_MILLIMETRES = 1000.0
_VISIBLE = 0.5  # confidence above which the original counts a keypoint
_FEWEST = 3  # points that fix a rotation


class HandEvaluator:
    """Gathers the evaluation of a data set, batch by batch; can be stopped, saved and gone on with.

    evaluator = HandEvaluator(EvaluationResult.load("run.npz") if resuming else None)
    evaluator.add(batch); ...; evaluator.result().save("run.npz")
    """

    def __init__(self, done: EvaluationResult | None = None, *, threads: int | None = None) -> None:
        """
        Args:
            done: what was evaluated before.
            threads: of the F-score; default one a core.
        """
        self._parts = [] if done is None else [done]
        self._threads = threads

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def add(self, batch: EvaluationBatch) -> EvaluationResult:
        """Evaluate `batch`, keep and return its rows."""
        part = evaluate(batch, first_id=len(self), threads=self._threads)
        self._parts.append(part)
        return part

    def add_result(self, part: EvaluationResult) -> None:
        """Keep rows that were found elsewhere: another process's, or hands that were missed."""
        self._parts.append(part)

    def result(self) -> EvaluationResult:
        """Everything so far, in order."""
        self._parts = [EvaluationResult.joined(self._parts)]
        return self._parts[0]

    def save(self, path: str | Path) -> Path:
        """Write everything so far."""
        return self.result().save(path)


def evaluate(batch: EvaluationBatch, *, first_id: int = 0, threads: int | None = None) -> EvaluationResult:
    """The rows of one batch.

    Predictions that are not finite count as infinitely wrong: they enter PCK as misses and make means infinite, so that
    they are seen.

    Args:
        first_id: number of the first hand, for batches without ids.
        threads: of the F-score; default one a core.
    """
    result = EvaluationResult.blank(len(batch))
    columns = {name: getattr(result, name) for name in ("ids", "is_right", "scores")}
    columns["ids"] = (
        batch.ids if batch.ids is not None else np.array([str(first_id + i) for i in range(len(batch))], np.str_)
    )
    if batch.is_right is not None:
        columns["is_right"] = batch.is_right
    if batch.scores is not None:
        columns["scores"] = batch.scores
    columns |= _joint_columns(batch) | _vertex_columns(batch, threads) | _keypoint_columns(batch)
    return EvaluationResult(**(vars(result) | columns))


def _joint_columns(batch: EvaluationBatch) -> dict[str, np.ndarray]:
    if batch.joints is None or batch.true_joints is None:
        return {}
    valid = np.isfinite(batch.true_joints).all(-1)
    if batch.joints_valid is not None:
        valid &= batch.joints_valid
    finite = np.isfinite(batch.joints).all((1, 2))
    prediction, truth = _tensor(batch.joints), _tensor(np.where(valid[..., None], batch.true_joints, 0.0))
    # A wrist without a label leaves nothing to be relative to; two joints leave the rotation open.
    names = {
        "joint_error": (point_errors(prediction, truth), finite),
        "joint_error_root": (point_errors(root_relative(prediction), root_relative(truth)), finite & valid[:, 0]),
    }
    aligned = finite & (valid.sum(1) >= _FEWEST)
    columns = {name: _known(errors.numpy(), valid, finite, rows) for name, (errors, rows) in names.items()}
    for name, align in (("joint_error_proper", procrustes_proper), ("joint_error_reflecting", procrustes_reflecting)):
        errors = np.full(valid.shape, np.nan)
        if aligned.any():
            moved = align(prediction[aligned], truth[aligned], _tensor(valid[aligned]))
            errors[aligned] = point_errors(moved, truth[aligned]).numpy()
        columns[name] = _known(errors, valid, finite, aligned)
    return columns


def _known(errors: np.ndarray, valid: np.ndarray, finite: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Millimetres where they mean something, NaN without label, infinity for predictions that are not finite."""
    known = np.where(finite[:, None], np.where(rows[:, None], _MILLIMETRES * errors, np.nan), np.inf)
    return np.where(valid, known, np.nan)


def _vertex_columns(batch: EvaluationBatch, threads: int | None) -> dict[str, np.ndarray]:
    if batch.vertices is None or batch.true_vertices is None:
        return {}
    labelled = np.isfinite(batch.true_vertices).all((1, 2))
    finite = np.isfinite(batch.vertices).all((1, 2))
    rows = labelled & finite
    columns = {name: _filled(rows, labelled, np.inf) for name in _VERTEX_ERRORS}
    columns |= {name: _filled(rows, labelled, 0.0) for name in _VERTEX_AREAS}
    columns |= {name: np.repeat(_filled(rows, labelled, 0.0)[:, None], 2, 1) for name in _F_SCORES}
    if not rows.any():
        return columns
    prediction, truth = _tensor(batch.vertices[rows]), _tensor(batch.true_vertices[rows])
    proper, reflecting = procrustes_proper(prediction, truth), procrustes_reflecting(prediction, truth)
    mirrored = (proper - reflecting).abs().amax((1, 2)) > 1e-9  # elsewhere the two alignments are one
    for name, points in (("", prediction), ("_proper", proper), ("_reflecting", reflecting)):
        errors = point_errors(points, truth)
        columns[f"vertex_error{name}"][rows] = _MILLIMETRES * errors.mean(-1).numpy()
        columns[f"vertex_auc{name}"][rows] = area(errors).mean(-1).numpy()
    columns["f_score"][rows] = f_score(prediction.numpy(), truth.numpy(), threads=threads)
    f_proper = f_score(proper.numpy(), truth.numpy(), threads=threads)
    columns["f_score_proper"][rows] = f_proper
    f_reflecting = f_proper.copy()
    if mirrored.any():
        f_reflecting[mirrored.numpy()] = f_score(reflecting[mirrored].numpy(), truth[mirrored].numpy(), threads=threads)
    columns["f_score_reflecting"][rows] = f_reflecting
    columns["vertex_error_root"] = _vertices_from_root(batch, rows, columns["vertex_error_root"])
    return columns


_VERTEX_ERRORS = ("vertex_error", "vertex_error_root", "vertex_error_proper", "vertex_error_reflecting")
_VERTEX_AREAS = ("vertex_auc", "vertex_auc_proper", "vertex_auc_reflecting")
_F_SCORES = ("f_score", "f_score_proper", "f_score_reflecting")


def _filled(rows: np.ndarray, labelled: np.ndarray, failed: float) -> np.ndarray:
    return np.where(labelled & ~rows, failed, np.nan)


def _vertices_from_root(batch: EvaluationBatch, rows: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Mean vertex error relative to the wrist joint, for hands that have one on both sides."""
    if batch.joints is None or batch.true_joints is None or batch.vertices is None or batch.true_vertices is None:
        return np.where(rows, np.nan, column)
    valid = np.isfinite(batch.true_joints[:, 0]).all(-1)
    if batch.joints_valid is not None:
        valid &= batch.joints_valid[:, 0]
    offset = batch.joints[:, :1] - batch.true_joints[:, :1]
    difference = np.where(rows[:, None, None], batch.vertices - batch.true_vertices - offset, np.nan)
    errors = _MILLIMETRES * np.linalg.norm(difference, axis=-1).mean(-1)
    return np.where(rows, np.where(valid, errors, np.nan), column)


def _keypoint_columns(batch: EvaluationBatch) -> dict[str, np.ndarray]:
    if batch.true_keypoints_2d is None:
        return {}
    confidence = np.ones(batch.true_keypoints_2d.shape[:2])
    if batch.keypoint_confidence is not None:
        confidence = batch.keypoint_confidence
    confidence = np.where(np.isfinite(batch.true_keypoints_2d).all(-1), confidence, 0.0)
    columns = {"keypoint_confidence": confidence}
    if batch.keypoints_2d is not None and batch.box_size is not None:
        truth = np.where(np.isfinite(batch.true_keypoints_2d), batch.true_keypoints_2d, 0.0)
        prediction = np.where(np.isfinite(batch.keypoints_2d), batch.keypoints_2d, np.inf)
        columns["keypoint_error"] = normalised_distances(prediction, truth, confidence > _VISIBLE, batch.box_size)
    return columns


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))
