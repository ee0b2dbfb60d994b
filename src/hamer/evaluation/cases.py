"""The hands of an evaluation that are worth a look: the worst, and some from the middle, as pictures."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from hamer.errors import HamerError
from hamer.evaluation.results import EvaluationResult
from hamer.pipeline import read_picture
from hamer.rendering import Mesh, draw_keypoints, overlay
from hamer.structures import Camera

_SIDE = 224  # px a view
_AROUND = 1.8  # how much of the surroundings is shown, times the box
_QUALITY = 82

Kind = Literal["worst", "median", "missed"]


@dataclass
class CaseHand:
    """What is drawn of a hand: its picture, box (4,) px, true keypoints (21, 3) px; and the prediction, or None if it was missed.

    `vertices` (V, 3) in the frame of `camera`; `faces` (F, 3).
    """

    path: Path
    box: np.ndarray
    keypoints_2d: np.ndarray
    vertices: np.ndarray | None = None
    faces: np.ndarray | None = None
    camera: Camera | None = None


@dataclass(frozen=True)
class Case:
    """A drawn hand: its row in the result, its error and the unit, and the picture as a JPEG in base64."""

    row: int
    id: str
    kind: Kind
    error: float
    unit: str
    jpeg: str


def hand_errors(result: EvaluationResult) -> tuple[np.ndarray, str]:
    """One error a hand and its unit: aligned joints where most hands have them, else 2D; infinite for missed hands."""
    aligned = ~np.isnan(result.joint_error_proper).all(1)
    columns, unit = (
        (result.joint_error_proper, "mm")
        if aligned.sum() > 0.5 * result.found.sum()
        else (100 * result.keypoint_error, "% of the box")
    )
    known = ~np.isnan(columns)
    count = known.sum(1)
    errors = np.where(count > 0, np.where(known, columns, 0.0).sum(1) / np.maximum(count, 1), np.nan)
    return np.where(result.found, errors, np.inf), unit


def pick(errors: np.ndarray, *, worst: int = 6, median: int = 3, missed: int = 3) -> list[tuple[int, Kind]]:
    """Rows of the largest finite errors, of those around the median, and of missed hands (evenly spread)."""
    finite = np.flatnonzero(np.isfinite(errors))
    order = finite[np.argsort(errors[finite])]
    middle = order[max(0, len(order) // 2 - median // 2) :][:median]
    last = [row for row in order[::-1][:worst] if row not in set(middle.tolist())]
    gone = np.flatnonzero(np.isposinf(errors))
    gone = gone[np.unique(np.linspace(0, len(gone) - 1, min(missed, len(gone))).astype(int))] if len(gone) else gone
    return (
        [(int(row), "worst") for row in last]
        + [(int(row), "median") for row in middle]
        + [(int(row), "missed") for row in gone]
    )


def draw_cases(result: EvaluationResult, hand_of: Callable[[int], CaseHand]) -> list[Case]:
    """Pictures of the hands that `pick` names.

    Args:
        hand_of: row of the result to what is drawn; rows whose picture cannot be read any more are left out.
    """
    errors, unit = hand_errors(result)
    cases = []
    for row, kind in pick(errors):
        try:
            jpeg = _encoded(_views(hand_of(row)))
        except (HamerError, OSError, ValueError):
            continue
        cases.append(Case(row, str(result.ids[row]), kind, float(errors[row]), unit, jpeg))
    return cases


def _views(hand: CaseHand) -> np.ndarray:
    """The picture around the hand with its true keypoints, and beside it the predicted mesh."""
    picture = read_picture(hand.path).rgb
    center, side = (hand.box[:2] + hand.box[2:]) / 2, max(float((hand.box[2:] - hand.box[:2]).max()) * _AROUND, 2.0)
    scale, origin = _SIDE / side, center - side / 2
    move = np.array([[scale, 0, -scale * origin[0]], [0, scale, -scale * origin[1]]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    crop = cv2.warpAffine(picture, move, (_SIDE, _SIDE), flags=flags, borderValue=(255, 255, 255))
    points = hand.keypoints_2d.astype(np.float64).copy()
    points[:, :2] = (points[:, :2] - origin) * scale
    shown = draw_keypoints(crop, points, threshold=0.5)
    if hand.vertices is None or hand.faces is None or hand.camera is None:
        return np.concatenate([shown, np.full_like(crop, 235)], axis=1)
    c = hand.camera
    seen = Camera(c.fx * scale, c.fy * scale, (c.cx - origin[0]) * scale, (c.cy - origin[1]) * scale, c.distortion)
    return np.concatenate([shown, overlay(crop, [Mesh(hand.vertices, hand.faces)], seen)], axis=1)


def _encoded(rgb: np.ndarray) -> str:
    done, data = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise OSError("a case cannot be encoded as JPEG")
    return base64.b64encode(data.tobytes()).decode("ascii")
