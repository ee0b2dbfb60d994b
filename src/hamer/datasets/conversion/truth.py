"""What a converted file knows beyond the original's npz: cameras, vertices, occlusion, unknown sides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hamer.datasets.npz_arrays import read_npz

KEYS = ("camera", "occlusion", "side_known", "vertices_file")
"""Keys that `hamer data convert` adds and the original passes over."""


@dataclass(frozen=True)
class Truth:
    """Rows are those of the npz; None is what the file does not know.

    `camera` (N, 4) fx, fy, cx, cy px, a row of NaN where it is not known; `vertices` (N, V, 3) m in the camera frame,
    read from disk as they are asked for; `occlusion` (N, 21) 1 where a joint is hidden; `side_known` False where `right`
    is a guess.
    """

    camera: np.ndarray | None = None
    vertices: np.ndarray | None = None
    occlusion: np.ndarray | None = None
    side_known: bool = True


def read_truth(path: str | Path) -> Truth:
    """The further ground truth of an npz, of ours or of the original's (which has none).

    Raises:
        ValueError: arrays of other shapes, or vertices that are not of as many hands. FileNotFoundError: the file of
            vertices that the npz names is not beside it.
    """
    path = Path(path)
    arrays = read_npz(path, ("imgname", *KEYS))
    count = len(arrays["imgname"]) if "imgname" in arrays else 0
    for name, width in (("camera", 4), ("occlusion", 21)):
        if name in arrays and arrays[name].shape != (count, width):
            raise ValueError(f"{name} of {path} must have shape {(count, width)}, got {arrays[name].shape}")
    return Truth(
        arrays.get("camera"),
        _vertices(path, arrays, count),
        arrays.get("occlusion"),
        bool(arrays.get("side_known", np.array(True)).all()),
    )


def _vertices(path: Path, arrays: dict[str, np.ndarray], count: int) -> np.ndarray | None:
    if "vertices_file" not in arrays:
        return None
    file = path.parent / Path(str(arrays["vertices_file"])).name  # beside the npz, wherever the name points
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: {path.name} keeps its vertices there; convert the set again")
    vertices = np.load(file, mmap_mode="r", allow_pickle=False)
    if vertices.ndim != 3 or len(vertices) != count or vertices.shape[2] != 3:
        raise ValueError(f"{file} must hold ({count}, V, 3) vertices, got {vertices.shape}: convert the set again")
    return vertices
