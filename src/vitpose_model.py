"""The original's `vitpose_model`: `ViTPoseModel(device).predict_pose(image, [boxes])`, over `hamer.detectors.vitpose`.

A module of its own because scripts that use HaMeR import it so; in new code take `hamer.detectors.load("vitpose")`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from hamer.assets.places import ORIGINAL_FILES
from hamer.detectors.vitpose import ViTPose
from hamer.detectors.wholebody.keypoints import FEET, LEFT_HAND, RIGHT_HAND
from hamer.models.precision import Precision
from hamer.rendering.keypoints import draw_keypoints

__all__ = ["ViTPoseModel"]

_LIMBS = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15),
    (12, 14), (14, 16), (15, 17), (15, 18), (15, 19), (16, 20), (16, 21), (16, 22),
)  # fmt: skip
_LIMB_COLOR, _DOT_COLOR = (60, 190, 120), (250, 140, 30)


class ViTPoseModel:
    """Whole-body keypoints as the original's wrapper gives them.

    Args:
        device: a torch device or its name, or "auto".
        weights, precision, flip_test, batch_size: as in `hamer.detectors.vitpose.ViTPose`, beyond the original's; the
            defaults give its numbers.

    Raises:
        AssetError: the original's weights are nowhere; the message has the command that fetches them.
    """

    MODEL_DICT = {  # noqa: RUF012  # the original's is a plain dict, and scripts look into it
        "ViTPose+-G (multi-task train, COCO)": {
            "config": "ViTPose_huge_wholebody_256x192",
            "model": f"_DATA/{ORIGINAL_FILES['vitpose']}",
        },
    }

    def __init__(
        self,
        device: str | torch.device = "auto",
        *,
        weights: str | Path | None = None,
        precision: Precision = "float32",
        flip_test: bool = True,
        batch_size: int = 8,
    ) -> None:
        self.device = device if device == "auto" else torch.device(device)
        self.model_name = next(iter(self.MODEL_DICT))
        self.model = ViTPose(weights, device=device, precision=precision, flip_test=flip_test, batch_size=batch_size)
        self.model.load()

    def set_model(self, name: str) -> None:
        """Choose a network of `MODEL_DICT`; there is one."""
        if name not in self.MODEL_DICT:
            raise ValueError(f"name must be one of {list(self.MODEL_DICT)}, got {name!r}")
        self.model_name = name

    def predict_pose(
        self, image: np.ndarray, det_results: Sequence[Any], box_score_threshold: float = 0.5
    ) -> list[dict[str, np.ndarray]]:
        """Keypoints of the persons in one picture.

        Args:
            image: RGB uint8 (H, W, 3).
            det_results: detections by class, persons first: arrays (N, 5) of x0, y0, x1, y1 px and score. Only the
                persons are looked at.
            box_score_threshold: persons above it, strictly, are.

        Returns:
            for each such person {"bbox": (5,) as it was given, "keypoints": (133, 3) float32 x, y px and score}.
        """
        rows = self._persons(det_results)
        rows = rows[rows[:, 4] > box_score_threshold] if len(rows) else rows
        if not len(rows):
            return []
        (points,) = self.model([image], [rows[:, :4]])
        return [{"bbox": row, "keypoints": keypoints} for row, keypoints in zip(rows, points, strict=True)]

    def predict_pose_and_visualize(
        self,
        image: np.ndarray,
        det_results: Sequence[Any],
        box_score_threshold: float,
        kpt_score_threshold: float,
        vis_dot_radius: int,
        vis_line_thickness: int,
    ) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
        """`predict_pose`, and its result drawn over the picture."""
        found = self.predict_pose(image, det_results, box_score_threshold)
        drawn = self.visualize_pose_results(image, found, kpt_score_threshold, vis_dot_radius, vis_line_thickness)
        return found, drawn

    def visualize_pose_results(
        self,
        image: np.ndarray,
        pose_results: list[dict[str, np.ndarray]],
        kpt_score_threshold: float = 0.3,
        vis_dot_radius: int = 4,
        vis_line_thickness: int = 1,
    ) -> np.ndarray:
        """Body, face and hands of `predict_pose`'s result over a copy of the RGB picture; points above the threshold."""
        drawn = np.ascontiguousarray(image).copy()
        for result in pose_results:
            points = result["keypoints"]
            places = [tuple(int(v) for v in np.rint(point[:2])) for point in points]
            for one, other in _LIMBS:
                if min(points[one, 2], points[other, 2]) > kpt_score_threshold:
                    cv2.line(drawn, places[one], places[other], _LIMB_COLOR, vis_line_thickness, cv2.LINE_AA)
            for index in np.flatnonzero(points[: LEFT_HAND.start, 2] > kpt_score_threshold):
                radius = vis_dot_radius if index < FEET.stop else max(1, vis_dot_radius // 2)
                cv2.circle(drawn, places[index], radius, _DOT_COLOR, -1, cv2.LINE_AA)
            hands = np.stack([points[LEFT_HAND], points[RIGHT_HAND]])
            drawn = draw_keypoints(drawn, hands, threshold=kpt_score_threshold, thickness=vis_line_thickness)
        return drawn

    @staticmethod
    def _persons(det_results: Sequence[Any]) -> np.ndarray:
        """The persons' rows (N, 5) of detections by class, which may come with masks as (boxes, masks)."""
        by_class = det_results[0] if isinstance(det_results, tuple) else det_results
        if not len(by_class):
            raise ValueError("det_results must be a list with the persons' boxes (N, 5) first, got nothing")
        rows = np.asarray(by_class[0])
        if rows.size == 0:
            return np.zeros((0, 5), np.float32)
        if rows.ndim != 2 or rows.shape[1] != 5:
            raise ValueError(
                f"det_results[0] must have shape (N, 5), x0, y0, x1, y1 px and score, got {rows.shape}; pass [boxes]"
            )
        return rows
