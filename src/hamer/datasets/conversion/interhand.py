"""InterHand2.6M (5 frames a second): one hand or two, seen by many cameras.

`annotations/<split>/InterHand2.6M_<split>_data.json`, `_camera.json`, `_joint_3d.json`, optionally `_MANO_NeuralAnnot.json`;
`images/<split>/Capture*/...jpg`. Joints come in millimetres of a common world, right hand before left, each finger from the
tip to the base and the wrist last; they are turned into the camera's frame and our order. Boxes are tight around each
hand's valid joints: the release's `bbox` holds both hands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hamer.datasets.conversion.common import ConvertOptions, Count, Output, Part, ReleaseError, require_folder
from hamer.datasets.packing import interhand
from hamer.datasets.packing.annotations import Pictures
from hamer.datasets.packing.sources import SourceOptions

PUBLISHED = {"train": 1_361_062, "val": 380_125, "test": 849_160}


def parts(source: Path, options: ConvertOptions) -> list[Part]:
    """The split of the release in folder `source` (its root, or the folder of a split's annotations)."""
    split = options.split or "test"
    if split not in PUBLISHED:
        raise ReleaseError(f"InterHand2.6M's splits are {', '.join(PUBLISHED)}, got {split!r}")
    require_folder(source, "InterHand2.6M's folder, or that of its annotations")
    notes: list[str] = []
    folder = options.img_folder or images_folder(source, split)
    pictures: Pictures[Any] = interhand.read(source, SourceOptions(folder, split, options.mano, notes=notes))
    notes.append("sizes are those of the release with 5 frames a second; that with 30 is larger")
    output = Output(f"INTERHAND-{split.upper()}", f"interhand_{split}.npz")
    counts = [Count(f"annotated pictures of {split}", len(pictures), PUBLISHED[split])]
    return [Part(split, pictures, folder, (output,), counts, notes)]


def images_folder(source: Path, split: str) -> Path:
    """`images/<split>` in `source`, below it or beside a folder above it.

    Raises ReleaseError where there is none.
    """
    below = [folder for folder in sorted(source.glob(f"*/images/{split}")) if folder.is_dir()]
    above = [folder / "images" / split for folder in (source, *source.resolve().parents[:3])]
    for folder in (*above, *below):
        if folder.is_dir():
            return folder
    raise ReleaseError(f"no folder images/{split} in or beside {source}: name the pictures' folder with --img_folder")
