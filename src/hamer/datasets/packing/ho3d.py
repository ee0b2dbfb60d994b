"""HO-3D's layout (v2, v3): hands with objects, seen by calibrated cameras, a pickle a picture.

`train.txt` (lines `SEQ/0000`), `train/SEQ/rgb/0000.png` (v3: jpg), `train/SEQ/meta/0000.pkl` with `handJoints3D` (21, 3) m,
MANO's 16 joints and the fingertips, `handPose` (48,) absolute, `handBeta` (10,), `camMat` (3, 3). OpenGL's frame: y up, hands at
negative z. Right hands only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
from hamer.datasets.packing.sources import SourceOptions
from hamer.hand_models.joints import MANO_TO_OPENPOSE
from hamer.structures import Camera

_FROM_OPENGL = np.array([1.0, -1.0, -1.0])


def read(path: Path, options: SourceOptions) -> Pictures[str]:
    """The pictures that the release in folder `path` lists for a split.

    Raises:
        ValueError: there is no list.
    """
    split = options.split or "train"
    listing = path / f"{split}.txt"
    if not listing.is_file():
        raise ValueError(f"{listing} is missing: expected HO-3D's list of pictures, lines such as ABF10/0000")
    lines = [line.strip() for line in listing.read_text().splitlines() if line.strip()]

    def make(line: str) -> PictureAnnotation:
        sequence, _, frame = line.rpartition("/")
        folder = (options.img_folder or path / split) / sequence / "rgb"
        meta = load_pickle(path / split / sequence / "meta" / f"{frame}.pkl")
        found = [folder / f"{frame}{suffix}" for suffix in (".png", ".jpg") if (folder / f"{frame}{suffix}").is_file()]
        camera, hand = _annotation(meta)
        return PictureAnnotation(found[0] if found else folder / f"{frame}.png", line, [hand], camera)

    return Pictures(lines, make, files=[listing])


def _annotation(meta: dict[str, Any]) -> tuple[Camera, HandAnnotation]:
    given = meta.get("handJoints3D")
    if given is None or np.size(given) != 63:
        raise ValueError(f"handJoints3D must be 21 joints, got {'none' if given is None else np.shape(given)}")
    matrix = np.asarray(meta["camMat"], np.float64).reshape(3, 3)
    joints = np.asarray(given, np.float64).reshape(21, 3)[list(MANO_TO_OPENPOSE)] * _FROM_OPENGL
    pixels = joints @ matrix.T
    rows = [np.c_[values, np.ones(21)].astype(np.float32) for values in (pixels[:, :2] / pixels[:, 2:], joints)]
    pose = None
    if meta.get("handPose") is not None:
        pose = np.asarray(meta["handPose"], np.float64).reshape(48).copy()
        pose[:3] = cv2.Rodrigues(_FROM_OPENGL[:, None] * cv2.Rodrigues(pose[:3])[0])[0].ravel()
    camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    return camera, HandAnnotation(True, None, rows[0], rows[1], pose, meta.get("handBeta"))
