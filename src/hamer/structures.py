"""The dataclasses that cross borders between rooms: data only, NumPy arrays, checked once on construction.

Letters used in shapes: N hands (or boxes), V vertices of a hand, F faces. Pixels are those of the upright picture,
the camera frame is OpenCV's (x right, y down, z forward, metres). See docs/conventions.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


def _array(value: Any, name: str, shape: tuple[int | None, ...], dtype: Any = np.float32) -> np.ndarray:
    """`value` as an array of `dtype` whose shape matches `shape` (None: any length), or a ValueError that names the field."""
    array = np.asarray(value, dtype=dtype)
    matches = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not matches:
        expected = ", ".join("*" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have shape ({expected}), got {array.shape}")
    return array


@dataclass
class Camera:
    """A pinhole camera with lens distortion: focal lengths and principal point in pixels.

    `distortion` holds OpenCV's coefficients k1, k2, p1, p2[, k3[, k4, k5, k6]]; empty for none. `source` says where the
    numbers come from ("given", "exif", "assumed" ...), so that results can state how far their depth is to be trusted.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    source: str = "given"

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not np.isfinite(np.asarray(numbers, dtype=float)).all():
            raise ValueError(f"Camera must have finite numbers, got {numbers}")
        if self.fx <= 0 or self.fy <= 0:
            raise ValueError(f"Camera focal lengths fx, fy must be positive pixels, got {self.fx}, {self.fy}")
        if len(self.distortion) not in (0, 4, 5, 8):
            raise ValueError(
                f"Camera distortion must have 0, 4, 5 or 8 OpenCV coefficients, got {len(self.distortion)}"
            )
        self.fx, self.fy, self.cx, self.cy = (float(v) for v in (self.fx, self.fy, self.cx, self.cy))
        self.distortion = tuple(float(v) for v in self.distortion)

    @property
    def matrix(self) -> np.ndarray:
        """The intrinsic matrix K, (3, 3) float64."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)


@dataclass
class Detections:
    """Objects found in one picture: `boxes` (N, 4) xyxy px, `scores` (N,), `classes` (N,) COCO, person 0."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def __post_init__(self) -> None:
        self.boxes = _array(self.boxes, "Detections.boxes", (None, 4))
        self.scores = _array(self.scores, "Detections.scores", (len(self.boxes),))
        self.classes = _array(self.classes, "Detections.classes", (len(self.boxes),), np.int64)

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass
class HandBoxes:
    """Hands found in one picture.

    `boxes` (N, 4) xyxy px; `is_right` (N,) bool; `scores` (N,) in 0..1; `keypoints_2d` (N, 21, 3) x, y px and confidence, or
    None; `keypoints_3d` (N, 21, 3) a backend's own guess, or None: metres, axes of the camera frame, any origin, a left hand
    given as the left hand that it is. An array holds NaN in the rows of hands that the backend had no guess for. `notes` say what
    the detector left out of this picture, and why.
    """

    boxes: np.ndarray
    is_right: np.ndarray
    scores: np.ndarray
    keypoints_2d: np.ndarray | None = None
    keypoints_3d: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.boxes = _array(self.boxes, "HandBoxes.boxes", (None, 4))
        n = len(self.boxes)
        self.is_right = _array(self.is_right, "HandBoxes.is_right", (n,), bool)
        self.scores = _array(self.scores, "HandBoxes.scores", (n,))
        if self.keypoints_2d is not None:
            self.keypoints_2d = _array(self.keypoints_2d, "HandBoxes.keypoints_2d", (n, 21, 3))
        if self.keypoints_3d is not None:
            self.keypoints_3d = _array(self.keypoints_3d, "HandBoxes.keypoints_3d", (n, 21, 3))

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls) -> HandBoxes:
        """No hands."""
        return cls(np.zeros((0, 4)), np.zeros(0, bool), np.zeros(0))

    def followed_by(self, others: HandBoxes) -> HandBoxes:
        """These hands, then the `others`; NaN where only one of the two has keypoints."""

        def joined(name: str) -> np.ndarray | None:
            parts = [getattr(self, name), getattr(others, name)]
            if parts[0] is None and parts[1] is None:
                return None
            rows = [
                np.full((len(hands), 21, 3), np.nan) if part is None else part
                for hands, part in zip((self, others), parts, strict=True)
            ]
            return np.concatenate(rows)

        return HandBoxes(
            np.concatenate([self.boxes, others.boxes]),
            np.concatenate([self.is_right, others.is_right]),
            np.concatenate([self.scores, others.scores]),
            joined("keypoints_2d"),
            joined("keypoints_3d"),
            self.notes + others.notes,
        )

    def __getitem__(self, index: Any) -> HandBoxes:
        """The hands that `index` (slice, integer array or boolean mask) selects."""
        points_2d = None if self.keypoints_2d is None else self.keypoints_2d[index]
        points_3d = None if self.keypoints_3d is None else self.keypoints_3d[index]
        return HandBoxes(self.boxes[index], self.is_right[index], self.scores[index], points_2d, points_3d, self.notes)


@dataclass
class HandParameters:
    """Axis-angle parameters of one hand, of a true left hand where the hand is left.

    `global_orient` (3,) turns the hand into the camera frame, `hand_pose` (45,) bends MANO's 15 joints, `betas` (10,) shape it.
    """

    global_orient: np.ndarray
    hand_pose: np.ndarray
    betas: np.ndarray

    def __post_init__(self) -> None:
        self.global_orient = _array(self.global_orient, "HandParameters.global_orient", (3,))
        self.hand_pose = _array(self.hand_pose, "HandParameters.hand_pose", (45,))
        self.betas = _array(self.betas, "HandParameters.betas", (10,))


@dataclass
class Hand:
    """One reconstructed hand, in the camera frame, in metres.

    `vertices` (V, 3) and `joints` (21, 3) include `camera_translation` (3,); `keypoints_2d` (21, 2) are the joints projected
    into the picture, px; `joint_confidence` (21,) in 0..1; `box` (4,) xyxy px is the detector's.
    """

    id: int
    is_right: bool
    score: float
    box: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    keypoints_2d: np.ndarray
    joint_confidence: np.ndarray
    camera_translation: np.ndarray
    parameters: HandParameters

    def __post_init__(self) -> None:
        self.id, self.is_right, self.score = int(self.id), bool(self.is_right), float(self.score)
        self.box = _array(self.box, "Hand.box", (4,))
        self.vertices = _array(self.vertices, "Hand.vertices", (None, 3))
        self.joints = _array(self.joints, "Hand.joints", (21, 3))
        self.keypoints_2d = _array(self.keypoints_2d, "Hand.keypoints_2d", (21, 2))
        self.joint_confidence = _array(self.joint_confidence, "Hand.joint_confidence", (21,))
        self.camera_translation = _array(self.camera_translation, "Hand.camera_translation", (3,))


@dataclass
class Reconstruction:
    """Everything found in one picture.

    `image` (H, W, 3) is the upright RGB uint8 picture or None where it was not kept; `faces` (F, 3) are those of a right hand
    (a left hand's are the same with the winding reversed); `hand_model` is "mano" or "open".
    """

    hands: list[Hand]
    camera: Camera
    width: int
    height: int
    faces: np.ndarray
    hand_model: str
    model: str
    detector: str
    path: Path | None = None
    image: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.faces = _array(self.faces, "Reconstruction.faces", (None, 3), np.int64)
        if self.hand_model not in ("mano", "open"):
            raise ValueError(f"Reconstruction.hand_model must be 'mano' or 'open', got {self.hand_model!r}")
