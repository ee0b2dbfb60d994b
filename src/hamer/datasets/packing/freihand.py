"""FreiHAND's layout, of the release itself or of anybody who wrote lists in its manner.

`<split>_K.json` (3x3 each), `<split>_xyz.json` (21x3 m, camera frame), optionally `<split>_mano.json` (61 numbers:
global orientation 3, fingers 45 relative to MANO's mean, betas 10, uv of the root 2, scale 1); pictures
`<split>/rgb/%08d.jpg`. The release has four versions of each training picture, of which the lists describe the first:
picture i + n * version. Right hands only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
from hamer.datasets.packing.mean_pose import absolute_pose, mean_pose
from hamer.datasets.packing.sources import SourceOptions, read_json
from hamer.structures import Camera


def read(path: Path, options: SourceOptions) -> Pictures[int]:
    """The pictures of the release in folder `path`, all versions that are there.

    Raises:
        ValueError: lists are missing or of different lengths.
    """
    split = options.split or "training"
    lists = {name: path / f"{split}_{name}.json" for name in ("K", "xyz", "mano")}
    for name in ("K", "xyz"):
        if not lists[name].is_file():
            raise ValueError(f"{lists[name]} is missing: expected FreiHAND's lists {split}_K.json and {split}_xyz.json")
    content = {name: read_json(file) for name, file in lists.items() if file.is_file()}
    count = len(content["K"])
    if any(len(values) != count for values in content.values()):
        lengths = ", ".join(f"{name} {len(values)}" for name, values in content.items())
        raise ValueError(f"the lists of {path} must have one entry a picture, got lengths: {lengths}")
    folder = options.img_folder or path / split / "rgb"
    mean = mean_pose(options, "FreiHAND") if "mano" in content else None
    reader = _Reader(content, count, folder, mean)
    versions = [v for v in range(4) if _find(folder, count * v) is not None] or [0]
    indices = [i + count * v for v in versions for i in range(count)]
    return Pictures(indices, reader, name=lambda i: f"{i:08d}", files=[lists[name] for name in content])


class _Reader:
    """Number of a picture to its annotation."""

    def __init__(self, content: dict[str, Any], count: int, folder: Path, mean: np.ndarray | None) -> None:
        self._content, self._count, self._folder, self._mean = content, count, folder, mean

    def __call__(self, index: int) -> PictureAnnotation:
        row = index % self._count
        matrix = np.asarray(self._content["K"][row], np.float64).reshape(3, 3)
        joints = np.asarray(self._content["xyz"][row], np.float64).reshape(21, 3)
        pixels = joints @ matrix.T
        points = pixels[:, :2] / pixels[:, 2:]
        pose, betas = self._parameters(row)
        hand = HandAnnotation(True, None, _confident(points), _confident(joints), pose, betas)
        camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
        path = _find(self._folder, index) or self._folder / f"{index:08d}.jpg"
        return PictureAnnotation(path, path.name, [hand], camera)

    def _parameters(self, row: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        if "mano" not in self._content:
            return None, None
        numbers = np.asarray(self._content["mano"][row], np.float32).reshape(
            -1
        )  # the release has one list inside another
        if numbers.size != 61:
            raise ValueError(f"mano must have 61 numbers (pose 48, betas 10, uv 2, scale 1), got {numbers.size}")
        return absolute_pose(numbers[:48], self._mean, is_right=True), numbers[48:58]


def _find(folder: Path, index: int) -> Path | None:
    for suffix in (".jpg", ".png"):
        if (file := folder / f"{index:08d}{suffix}").is_file():
            return file
    return None


def _confident(points: np.ndarray) -> np.ndarray:
    return np.c_[points, np.ones(len(points))].astype(np.float32)
