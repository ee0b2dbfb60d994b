"""HInt: hands of New Days of Hands, EPIC-KITCHENS VISOR and Ego4D, 2D joints with occlusion.

Each of its folders gives three files, as the original evaluates them: confidence 1 for all joints inside the picture
(`_all`), for those that are seen (`_vis`), for those that are hidden (`_occ`). All three have the same rows. Boxes are the
release's. Whether the original's files leave out hands without a joint of their kind is not known; PCK is the same.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from hamer.datasets.conversion.common import (
    ConvertOptions,
    Count,
    Output,
    Part,
    ReleaseError,
    TruthHand,
    require_folder,
)
from hamer.datasets.hint.annotation import HintAnnotation, known_side, read_annotation
from hamer.datasets.hint.folders import PUBLISHED_FILES, HintFolder, find_folders
from hamer.datasets.packing import hint
from hamer.datasets.packing.annotations import PictureAnnotation, Pictures
from hamer.datasets.packing.sources import SourceOptions
from hamer.datasets.picture_sizes import picture_size

_SUBSETS = (("ALL", "all", "all"), ("VIS", "vis", "visible"), ("OCC", "occ", "occluded"))
_LOOKED_AT = 200


def parts(source: Path, options: ConvertOptions) -> list[Part]:
    """A part for each folder of the split (TEST by default; also the name of a folder) in `source`."""
    require_folder(source, "HInt's folder")
    return [_part(folder, options) for folder in find_folders(source, options.split or "TEST")]


def _part(folder: HintFolder, options: ConvertOptions) -> Part:
    files = folder.annotations()
    if not files:
        raise ReleaseError(f"{folder.path} must hold json files, found none")
    missing = sum(not (options.img_folder or folder.path).joinpath(f"{file.stem}.jpg").is_file() for file in files)
    notes = [_found(files)]
    if missing and folder.is_ego4d:
        notes.append(
            f"{missing} of {len(files)} pictures are missing: they come from Ego4D's clips, under a licence of their own; "
            "`hamer data hint prepare` fills them in, and --split NAME takes one of the other folders"
        )
    outputs = tuple(
        Output(f"{folder.set_name}-{name}", f"{folder.name}_{suffix}.npz", joints)  # type: ignore[arg-type]
        for name, suffix, joints in _SUBSETS
    )

    def make(file: Path) -> PictureAnnotation:
        return _picture(read_annotation(file), options.img_folder or folder.path, options)

    return Part(
        folder.name,
        Pictures(files, make, name=lambda file: file.name, files=files),
        options.img_folder or folder.path,
        outputs,
        [Count(f"jpg and json files of {folder.name}", folder.count(), PUBLISHED_FILES[folder.name])],
        notes,
        training=hint.read(folder.path, SourceOptions(options.img_folder, side=options.side)),
    )


def _picture(found: HintAnnotation, folder: Path, options: ConvertOptions) -> PictureAnnotation:
    path = folder / f"{found.stem}.jpg"
    inside = found.present if options.pictures == "none" else found.inside(*picture_size(path))
    points = np.c_[np.where(inside[:, None], found.keypoints, 0), inside]
    hand = TruthHand(
        known_side(found.stem, options.side), found.box, points, occlusion=found.occluded.astype(np.float32)
    )
    return PictureAnnotation(path, path.name, [hand])


def _found(files: list[Path]) -> str:
    """How the first annotations are written, where the layout leaves it open."""
    forms: Counter[str] = Counter()
    for file in files[:_LOOKED_AT]:
        try:
            found = read_annotation(file)
        except (ValueError, OSError):
            continue  # reported when it is converted
        presence = f"presence under {found.presence_key}" if found.presence_key else "presence by coordinates"
        forms[f"bbox {found.box_form}, {presence}"] += 1
    listed = "; ".join(f"{form} ({count})" for form, count in forms.most_common())
    return f"annotations as found: {listed or 'none that can be read'}"
