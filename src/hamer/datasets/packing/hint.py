"""HInt's layout: a picture and a json a hand, joints with a flag for those that are hidden.

`<part>_img/NAME.jpg` and `NAME.json`: a list with a dict of `bbox` (a list whose first entry is x0, y0, x1, y1, or that box
itself), `keypoints` (21 points in our order) and `occlusion` (21; 1 hidden). NAME ends in `_l` or `_r`, the hand's side.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hamer.datasets.hint.annotation import HintAnnotation, known_side, read_annotation
from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
from hamer.datasets.packing.sources import SourceOptions


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
        return PictureAnnotation(picture, picture.name, [_hand(read_annotation(file), options.side)])

    return Pictures(files, make, name=lambda file: file.name, files=files)


def _hand(found: HintAnnotation, side: str | None) -> HandAnnotation:
    # Hidden joints were placed by annotators who could not see them: nothing there to learn to the pixel.
    counts = found.present & ~found.occluded
    rows = np.c_[np.where(found.present[:, None], found.keypoints, 0), counts]
    return HandAnnotation(known_side(found.stem, side), found.box, rows)
