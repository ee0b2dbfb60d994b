"""COCO-WholeBody v1.0: hands of people in COCO's pictures, 2D joints and boxes.

`coco_wholebody_<split>_v1.0.json` with COCO's pictures in `<split>2017/`; `lefthand_kpts`, `lefthand_box` (x y w h),
`lefthand_valid` and the same for the right hand. Joints are in our order; the release's boxes are kept. Most hands are small.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hamer.datasets.conversion.common import ConvertOptions, Count, Output, Part, ReleaseError
from hamer.datasets.packing import coco_wholebody
from hamer.datasets.packing.annotations import Pictures
from hamer.datasets.packing.sources import SourceOptions, read_json

PUBLISHED = {"val": 5000, "train": 118_287}


def parts(source: Path, options: ConvertOptions) -> list[Part]:
    """The split whose annotation file is `source`, or in it or its `annotations`; by default val."""
    split = options.split or "val"
    if split not in PUBLISHED:
        raise ReleaseError(f"COCO-WholeBody's splits are {' and '.join(PUBLISHED)}, got {split!r}")
    file = find_file(source, f"*wholebody*{split}*.json")
    folder = options.img_folder or pictures_folder(file, f"{split}2017")
    content = read_json(file)
    pictures: Pictures[Any] = coco_wholebody.pictures_of(content, file, SourceOptions(folder, split))
    counts = [Count(f"pictures of {file.name}", len(content["images"]), PUBLISHED[split])]
    notes = [f"{len(pictures)} of {len(content['images'])} pictures have a valid hand"]
    output = Output(f"COCOW-{split.upper()}", f"coco_wholebody_{split}.npz")
    return [Part(split, pictures, folder, (output,), counts, notes)]


def find_file(source: Path, pattern: str) -> Path:
    """The annotation file that `source` is, or that lies in it or in its `annotations`."""
    if source.is_file():
        return source
    found = [file for folder in (source, source / "annotations") for file in sorted(folder.glob(pattern))]
    if len(found) != 1:
        listed = ", ".join(file.name for file in found) or "none"
        raise ReleaseError(
            f"{source} must be an annotation file or hold one named {pattern}, found {listed}: name the file"
        )
    return found[0]


def pictures_folder(file: Path, name: str) -> Path:
    """Folder `name` beside the annotation file or one folder up; the file's own folder otherwise."""
    for folder in (file.parent / name, file.parent.parent / name, file.parent.parent / "images" / name):
        if folder.is_dir():
            return folder
    return file.parent
