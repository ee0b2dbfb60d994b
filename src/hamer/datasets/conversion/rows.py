"""Annotated hands as the arrays of an evaluation file, written in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.conversion.common import Joints, TruthHand
from hamer.datasets.packing.annotations import HandAnnotation
from hamer.datasets.packing.samples import hand_sample
from hamer.datasets.tar_writing import PARTIAL
from hamer.structures import Camera

_CHUNK = 4096  # rows kept as small arrays before they are stacked: a million of them would be mostly overhead
_CAMERA = 4


def row_of(hand: HandAnnotation, imgname: str, camera: Camera | None, annotation: str) -> dict[str, Any]:
    """One hand: the keys of the original's npz, and `camera` (4,), `occlusion` (21,), `vertices` (V, 3) or None.

    Raises ValueError where there is neither a box nor a joint to draw one around.
    """
    sample = hand_sample(hand, box_factor=1.0)
    known = camera is not None and not any(camera.distortion)
    focal = [camera.fx, camera.fy, camera.cx, camera.cy] if known and camera is not None else [np.nan] * _CAMERA
    truth = hand if isinstance(hand, TruthHand) else TruthHand.of(hand)
    return {
        "imgname": imgname,
        "center": sample["center"].astype(np.float64),
        "scale": sample["scale"].astype(np.float64) * 200,
        "right": sample["right"],
        "hand_keypoints_2d": sample["keypoints_2d"],
        "hand_keypoints_3d": sample["keypoints_3d"],
        "hand_pose": sample["hand_pose"],
        "has_hand_pose": sample["has_hand_pose"],
        "betas": sample["betas"],
        "has_betas": sample["has_betas"],
        "camera": np.array(focal, np.float64),
        "occlusion": np.zeros(21, np.float32) if truth.occlusion is None else np.asarray(truth.occlusion, np.float32),
        "vertices": None if truth.vertices is None else np.asarray(truth.vertices, np.float32),
        "extra_info": json.dumps({"annotation": annotation}),
    }


class Rows:
    """Hands in the order that they came in."""

    def __init__(self) -> None:
        self._waiting: list[dict[str, Any]] = []
        self._stacked: list[dict[str, np.ndarray]] = []
        self._vertices: list[np.ndarray] = []
        self.count = 0

    def add(self, row: dict[str, Any]) -> None:
        vertices = row.pop("vertices")
        if vertices is not None:
            self._vertices.append(vertices)
        self._waiting.append(row)
        self.count += 1
        if len(self._waiting) >= _CHUNK:
            self._stack()

    def arrays(self) -> dict[str, np.ndarray]:
        """All rows by key; `camera` and `occlusion` only where they say something."""
        self._stack()
        if not self._stacked:
            return {}
        result = {name: np.concatenate([chunk[name] for chunk in self._stacked]) for name in self._stacked[0]}
        if np.isnan(result["camera"]).all():
            del result["camera"]
        if not result["occlusion"].any():
            del result["occlusion"]
        return result

    def vertices(self) -> np.ndarray | None:
        """(N, V, 3), or None where not every hand has them."""
        if not self.count or len(self._vertices) != self.count:
            return None
        return np.stack(self._vertices)

    def _stack(self) -> None:
        if self._waiting:
            keys = self._waiting[0]
            self._stacked.append({name: np.stack([np.asarray(row[name]) for row in self._waiting]) for name in keys})
            self._waiting = []


def with_joints(arrays: Mapping[str, np.ndarray], joints: Joints) -> dict[str, np.ndarray]:
    """The arrays with a 2D confidence for all labelled joints, or only for the `visible` or `occluded` ones."""
    result = dict(arrays)
    if joints != "all":
        occluded = result.get("occlusion", np.zeros(result["hand_keypoints_2d"].shape[:2], np.float32))
        points = result["hand_keypoints_2d"].copy()
        points[..., 2] *= occluded if joints == "occluded" else 1 - occluded
        result["hand_keypoints_2d"] = points
    return result


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write an .npz, or an .npy of the only array, under its name once it is whole."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            if path.suffix == ".npy":
                (array,) = arrays.values()
                np.lib.format.write_array(file, array, allow_pickle=False)
            else:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
