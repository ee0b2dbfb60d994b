"""RHD (Rendered Handpose Dataset): pictures of made-up people, 320x320.

`<split>/anno_<split>.pickle` (index -> `xyz` (42, 3) m in the camera's frame, `uv_vis` (42, 3) px and visibility, `K`),
`<split>/color/%05d.png`. Left hand 0-20, right hand 21-41; the wrist first, each finger from the tip to the base. The pickle is
read as data, never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.conversion.common import (
    ConvertOptions,
    Count,
    Output,
    Part,
    ReleaseError,
    require_folder,
)
from hamer.datasets.conversion.joint_orders import TIPS_FIRST
from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
from hamer.structures import Camera

PUBLISHED = {"evaluation": 2728, "training": 41258}
MIN_VISIBLE = 3
"""Hands of which fewer joints are seen are not there: behind the person, or outside the picture."""


def parts(source: Path, options: ConvertOptions) -> list[Part]:
    """The split of the release in folder `source`; by default the one that is evaluated on."""
    split = options.split or "evaluation"
    if split not in PUBLISHED:
        raise ReleaseError(f"RHD's splits are {' and '.join(PUBLISHED)}, got {split!r}")
    require_folder(source, "RHD's folder")
    file = next(
        (f for f in (source / split / f"anno_{split}.pickle", source / f"anno_{split}.pickle") if f.is_file()), None
    )
    if file is None:
        raise ReleaseError(f"{source / split / f'anno_{split}.pickle'} is missing")
    content = load_pickle(file)
    if not isinstance(content, Mapping) or not content:
        raise ReleaseError(f"{file} must be a dict of pictures by number, got {type(content).__name__}")
    folder = options.img_folder or file.parent / "color"
    pictures = Pictures(
        sorted(content),
        lambda index: _picture(folder, index, content[index]),
        name=lambda i: f"{i:05d}.png",
        files=[file],
    )
    notes = [f"hands with fewer than {MIN_VISIBLE} visible joints are not there; the palm's joint stands for the wrist"]
    counts = [Count(f"pictures of {file.name}", len(content), PUBLISHED[split])]
    outputs = (Output(f"RHD-{'VAL' if split == 'evaluation' else 'TRAIN'}", f"rhd_{split}.npz"),)
    return [Part(split, pictures, folder, outputs, counts, notes)]


def _picture(folder: Path, index: int, entry: Mapping[str, Any]) -> PictureAnnotation:
    xyz, uv_vis = (np.asarray(entry[name], np.float64).reshape(42, 3) for name in ("xyz", "uv_vis"))
    matrix = np.asarray(entry["K"], np.float64).reshape(3, 3)
    camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    path = folder / f"{index:05d}.png"
    result = PictureAnnotation(path, path.name, [], camera)
    for is_right, start in ((False, 0), (True, 21)):
        rows = start + np.array(TIPS_FIRST)
        points = uv_vis[rows].copy()
        points[:, 2] = points[:, 2] > 0
        if points[:, 2].sum() >= MIN_VISIBLE:
            result.hands.append(HandAnnotation(is_right, None, points, np.c_[xyz[rows], np.ones(21)]))
    return result
