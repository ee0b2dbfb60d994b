"""OneHand10K: one hand a picture, 2D joints, in COCO's manner.

`onehand10k_<split>.json` (`images`; `annotations` with `keypoints` of 63 numbers, visibility 0 or 1, and `bbox` x y w h), with
pictures in `Train/source` and `Test/source`. Joints are in our order. Which hand it is nobody noted: `right` is what
--side says, or 1 with `side_known` False.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hamer.datasets.conversion.coco_wholebody import find_file
from hamer.datasets.conversion.common import ConvertOptions, Count, Output, Part, ReleaseError
from hamer.datasets.packing import coco_wholebody
from hamer.datasets.packing.annotations import Pictures
from hamer.datasets.packing.sources import SourceOptions, read_json

PUBLISHED = {"test": 1703, "train": 10_000}


def parts(source: Path, options: ConvertOptions) -> list[Part]:
    """The split whose annotation file is `source`, or in it or its `annotations`; by default test."""
    split = options.split or "test"
    if split not in PUBLISHED:
        raise ReleaseError(f"OneHand10K's splits are {' and '.join(PUBLISHED)}, got {split!r}")
    file = find_file(source, f"onehand10k*{split}*.json")
    content = read_json(file)
    coco_wholebody.require_coco(content, file)
    folder = options.img_folder or _folder(file, content)
    side = options.side or "right"
    pictures: Pictures[Any] = coco_wholebody.pictures_of(content, file, SourceOptions(folder, split, side=side))
    counts = [Count(f"pictures of {file.name}", len(content["images"]), PUBLISHED[split])]
    notes = []
    if options.side is None:
        notes.append("the release does not say which hand it is: right = 1 for all, side_known False (or give --side)")
    output = Output(f"ONEHAND10K-{split.upper()}", f"onehand10k_{split}.npz")
    return [Part(split, pictures, folder, (output,), counts, notes, side_known=options.side is not None)]


def _folder(file: Path, content: Any) -> Path:
    """The folder above the annotations that the files' names start from."""
    names = [image["file_name"] for image in content["images"][:1]]
    for folder in (file.parent, file.parent.parent):
        if names and (folder / names[0]).is_file():
            return folder
    return file.parent.parent if file.parent.name == "annotations" else file.parent
