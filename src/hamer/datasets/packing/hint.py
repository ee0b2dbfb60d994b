"""HInt's layout: a picture and a json a hand, joints with a flag for those that are hidden.

`<part>_img/NAME.jpg` and `NAME.json`: a list with a dict of `bbox` (a list whose first entry is x0, y0, x1, y1, or that box
itself), `keypoints` (21 points in our order) and `occlusion` (21; 1 hidden). NAME ends in `_l` or `_r`, the hand's side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
from hamer.datasets.packing.sources import SourceOptions, read_json


def read(path: Path, options: SourceOptions) -> Pictures[Path]:
    """The pictures of a folder, or of all its parts of `options.split` ("TRAIN", "VAL", "TEST")."""
    parts = [path] if any(path.glob("*.json")) else sorted(path.glob(f"{options.split or 'TRAIN'}_*_img"))
    files = [file for part in parts for file in sorted(part.glob("*.json"))]
    if not files:
        raise ValueError(
            f"{path} must hold NAME.json beside NAME.jpg, or folders such as TRAIN_newdays_img; got neither"
        )

    def make(file: Path) -> PictureAnnotation:
        picture = (options.img_folder or file.parent) / f"{file.stem}.jpg"
        return PictureAnnotation(picture, picture.name, [_hand(read_json(file), file.stem, options.side)])

    return Pictures(files, make, name=lambda file: file.name, files=files)


def _hand(content: Any, stem: str, side: str | None) -> HandAnnotation:
    entry = content[0] if isinstance(content, list) and content else content
    points = np.asarray(entry["keypoints"], np.float32).reshape(21, -1)[:, :2]
    hidden = np.asarray(entry.get("occlusion", np.zeros(21)), np.float32).reshape(21)
    box = np.asarray(entry["bbox"], np.float32).reshape(-1)[:4]
    # Hidden joints were placed by annotators who could not see them: nothing there to learn to the pixel.
    confidence = 1 - hidden.clip(0, 1)
    on_picture = np.asarray(np.isfinite(points).all(axis=1)) & np.asarray((points >= 0).all(axis=1))
    rows = np.c_[np.where(on_picture[:, None], points, 0), confidence * on_picture]
    return HandAnnotation(_is_right(stem, side), box if box.size == 4 else None, rows.astype(np.float32))


def _is_right(stem: str, side: str | None) -> bool:
    if stem[-2:] in ("_l", "_r"):
        return stem.endswith("_r")
    if side is None:
        raise ValueError(f"the name must end in _l or _r, got {stem}: say the side of such hands with --side")
    return side == "right"
