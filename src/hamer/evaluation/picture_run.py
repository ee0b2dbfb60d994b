"""Whole pictures through the pipeline, with the annotated boxes or with a detector's, as users run it; resumable."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hamer.detectors.given_boxes import GivenBoxes
from hamer.evaluation.annotated_sets import AnnotatedSet
from hamer.evaluation.batches import EvaluationBatch
from hamer.evaluation.evaluator import HandEvaluator
from hamer.evaluation.matching import MIN_IOU, DetectionSummary, match_boxes
from hamer.evaluation.network_run import Progress, Ran
from hamer.evaluation.prediction_store import PredictionStore
from hamer.evaluation.results import EvaluationResult
from hamer.geometry.boxes import boxes_from_keypoints
from hamer.pipeline import HandReconstructor
from hamer.structures import Camera, Reconstruction

logger = logging.getLogger(__name__)

Mode = Literal["boxes", "detector"]

ROWS = 1000
"""Numbers that a picture has for its rows: its hands, or one row that says that it was looked at."""
_AT_ONCE = 512


def annotated_boxes(annotated: AnnotatedSet, *, landmarks: bool) -> GivenBoxes:
    """A detector that gives the annotated boxes of the set's pictures; hands whose box has no area stay unfound.

    Args:
        landmarks: find the joints in each box, which a fit needs and a network does not.
    """
    sides = annotated.boxes[:, 2:] - annotated.boxes[:, :2]
    usable = np.isfinite(annotated.boxes).all(1) & (sides > 0).all(1)
    if not usable.all():
        first = annotated.ids[np.flatnonzero(~usable)[0]]
        logger.warning(
            "boxes of %d hands have no area (the first: %s): they count as not found", (~usable).sum(), first
        )
    content = {
        str(path): [
            {
                "box": annotated.boxes[row].tolist(),
                "is_right": bool(annotated.is_right[row]) if annotated.side_known[row] else None,
            }
            for row in annotated.hands_of(index)
            if usable[row]
        ]
        for index, path in enumerate(annotated.pictures)
    }
    if landmarks:
        return GivenBoxes(content, landmarks="always")
    return GivenBoxes(content, landmarks="never" if annotated.side_known.all() else "auto")


def reconstruct(
    reconstructor: HandReconstructor,
    annotated: AnnotatedSet,
    store: PredictionStore,
    *,
    batch_size: int = 8,
    known_cameras: bool = True,
    progress: Progress | None = None,
) -> Ran:
    """Fill `store` with the hands found in every picture that it lacks; pictures that fail are named and left out.

    Args:
        known_cameras: use the set's intrinsics; else those of EXIF or assumed ones, as users do.
    """
    done = {number // ROWS for number in store.done()}
    left = [i for i in range(len(annotated.pictures)) if i not in done]
    index_of = {Path(annotated.pictures[i]): i for i in left}
    ran, finished, total = Ran(), len(annotated.pictures) - len(left), len(annotated.pictures)

    def fail(source: Any, error: Exception) -> None:
        ran.failures.append((str(source), str(error)))

    def camera(picture: Any) -> Camera | None:
        return annotated.cameras[index_of[Path(picture.path)]] if known_cameras else None

    results = reconstructor.images(list(index_of), batch_size=batch_size, camera=camera, on_error=fail)
    started = time.perf_counter()
    try:
        for result in results:
            seconds = time.perf_counter() - started
            store.add(_rows(result, index_of[Path(str(result.path))], seconds, reconstructor))
            finished += 1
            ran.batches += 1
            if progress:
                progress(finished, total, "")
            started = time.perf_counter()
    finally:
        store.flush()
    return ran


def _rows(
    result: Reconstruction, picture: int, seconds: float, reconstructor: HandReconstructor
) -> dict[str, np.ndarray]:
    hands = result.hands[:ROWS]
    count = max(len(hands), 1)
    n_vertices = reconstructor.estimator.hand_model.n_vertices
    blank = {"joints": (21, 3), "vertices": (n_vertices, 3), "keypoints_2d": (21, 2), "box": (4,)}
    rows: dict[str, np.ndarray] = {
        name: np.stack([getattr(h, name) for h in hands]) if hands else np.full((1, *shape), np.nan, np.float32)
        for name, shape in blank.items()
    }
    camera = result.camera
    return rows | {
        "idx": picture * ROWS + np.arange(count),
        "is_hand": np.full(count, bool(hands)),
        "is_right": np.array([h.is_right for h in hands] or [False]),
        "score": np.array([h.score for h in hands] or [np.nan]),
        "camera": np.tile([camera.fx, camera.fy, camera.cx, camera.cy], (count, 1)),
        "seconds": np.full(count, seconds / count),
    }


def pair(
    annotated: AnnotatedSet, rows: Mapping[str, np.ndarray], mode: Mode, min_iou: float = MIN_IOU
) -> tuple[np.ndarray, np.ndarray, DetectionSummary]:
    """Which row each annotated hand has: (N,) index or -1; (N,) whether its picture was looked at; and the counts."""
    row_of = np.full(len(annotated), -1)
    looked_at = np.zeros(len(annotated), bool)
    pictures = rows["idx"] // ROWS if rows else np.zeros(0, int)
    around = boxes_from_keypoints(rows["keypoints_2d"].astype(np.float64)) if rows else np.zeros((0, 4))
    predicted = matched = 0
    for picture in np.unique(pictures):
        hands = annotated.hands_of(int(picture))
        looked_at[hands] = True
        given = np.flatnonzero((pictures == picture) & rows["is_hand"])
        if mode == "boxes":  # the estimator keeps the box that it was given
            pairs = match_boxes(annotated.boxes[hands], rows["box"][given], 0.99)
        else:
            pairs = match_boxes(annotated.match_boxes[hands], around[given], min_iou)
        for t, f in pairs.items():
            row_of[hands[t]] = given[f]
        predicted += len(given)
        matched += len(pairs)
    found = row_of >= 0
    known = found & annotated.side_known
    same = rows["is_right"][row_of[known]] == annotated.is_right[known] if known.any() else np.zeros(0, bool)
    summary = DetectionSummary(
        pictures=len(np.unique(pictures)), hands=int(looked_at.sum()), found=int(found.sum()), predicted=predicted,
        false_positives=predicted - matched, sides_known=int(known.sum()), sides_right=int(same.sum()),
    )  # fmt: skip
    return row_of, looked_at, summary


def score(
    annotated: AnnotatedSet, rows: Mapping[str, np.ndarray], row_of: np.ndarray, looked_at: np.ndarray,
    threads: int | None = None,
) -> EvaluationResult:  # fmt: skip
    """Our figures, a row for each annotated hand of the pictures that were looked at, in the set's order."""
    evaluator = HandEvaluator(threads=threads)
    visible = annotated.keypoints_2d[..., 2] > 0.5
    found, missed = np.flatnonzero(looked_at & (row_of >= 0)), np.flatnonzero(looked_at & (row_of < 0))
    vertices = annotated.vertices
    if vertices is not None and rows and rows["vertices"].shape[1:] != vertices.shape[1:]:
        logger.warning(
            "vertices are not scored: the estimated hand has %d, the set's %d",
            rows["vertices"].shape[1],
            vertices.shape[1],
        )
        vertices = None
    for start in range(0, len(found), _AT_ONCE):
        part = found[start : start + _AT_ONCE]
        picked = {name: rows[name][row_of[part]] for name in ("joints", "vertices", "keypoints_2d", "score")}
        truth = annotated.keypoints_3d[part]
        evaluator.add(
            EvaluationBatch(
                joints=picked["joints"],
                true_joints=truth[..., :3],
                joints_valid=truth[..., 3] > 0,
                vertices=None if vertices is None else picked["vertices"],
                true_vertices=None if vertices is None else np.asarray(vertices[part]),
                keypoints_2d=picked["keypoints_2d"],
                true_keypoints_2d=annotated.keypoints_2d[part, :, :2],
                keypoint_confidence=annotated.keypoints_2d[part, :, 2],
                box_size=annotated.box_size[part],
                is_right=annotated.is_right[part],
                scores=picked["score"],
                ids=annotated.ids[part].tolist(),
            )
        )
    if len(missed):
        evaluator.add_result(
            EvaluationResult.missed(annotated.ids[missed].tolist(), annotated.is_right[missed], visible[missed])
        )
    return evaluator.result()[np.argsort(np.concatenate([found, missed]), kind="stable")]
