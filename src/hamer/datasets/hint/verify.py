"""HInt's files looked over: pairs, annotations, pictures, and the numbers that were published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.hint.annotation import read_annotation
from hamer.datasets.hint.folders import PUBLISHED_FILES, HintFolder, find_folders
from hamer.datasets.picture_sizes import picture_size
from hamer.errors import HamerError
from hamer.pipeline.pictures import read_picture

Progress = Callable[[str, int, int, int], None]
"""Called after each sample: folder, samples done, of how many, problems so far."""

_AT_ONCE = 256
_END_OF_JPEG = b"\xff\xd9"
_BOX_SLACK = 1.0  # boxes may end on the picture's edge, px
_SMALLEST = 16


@dataclass
class FolderReport:
    """What was found in one folder; `problems` (file, what is wrong), `sizes` "1920 x 1080" -> pictures."""

    name: str
    files: int
    published: int
    annotations: int = 0
    pictures: int = 0
    left: int = 0
    joints_occluded: int = 0
    joints_outside: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return self.files == self.published and not self.problems


def verify(
    root: str | Path,
    *,
    split: str | None = None,
    decode: bool = False,
    workers: int = 2,
    progress: Progress | None = None,
) -> list[FolderReport]:
    """A report a folder.

    Args:
        split: TRAIN, VAL, TEST or the name of a folder; None for all.
        decode: decode every picture, not only its beginning and end.

    Raises:
        ValueError: `root` has no such folders.
    """
    return [_verify_folder(folder, decode, workers, progress) for folder in find_folders(Path(root), split)]


def _verify_folder(folder: HintFolder, decode: bool, workers: int, progress: Progress | None) -> FolderReport:
    report = FolderReport(folder.name, folder.count(), PUBLISHED_FILES[folder.name])
    stems = sorted({file.stem for file in folder.path.iterdir() if file.suffix in (".jpg", ".json")})
    for done, outcome in enumerate(_checked(folder.path, stems, decode, workers), start=1):
        _note(report, outcome)
        if progress:
            progress(folder.name, done, len(stems), len(report.problems))
    strangers = sorted(file.name for file in folder.path.iterdir() if file.suffix not in (".jpg", ".json"))
    report.problems += [(name, "is no jpg or json: it changes the md5 of the whole") for name in strangers]
    return report


def _checked(folder: Path, stems: list[str], decode: bool, workers: int) -> Iterator[dict[str, Any]]:
    remaining = iter(stems)
    with ThreadPoolExecutor(workers, thread_name_prefix="verify") as pool:
        while batch := list(islice(remaining, _AT_ONCE)):
            yield from pool.map(lambda stem: _check(folder / stem, decode), batch)


def _note(report: FolderReport, outcome: dict[str, Any]) -> None:
    report.problems += outcome["problems"]
    if (found := outcome.get("annotation")) is not None:
        report.annotations += 1
        report.left += found.is_right is False
        report.joints_occluded += int(found.occluded.sum())
    if (size := outcome.get("size")) is not None:
        report.pictures += 1
        key = f"{size[0]} x {size[1]}"
        report.sizes[key] = report.sizes.get(key, 0) + 1
        if found is not None:
            report.joints_outside += int((~found.inside(*size)).sum())


def _check(base: Path, decode: bool) -> dict[str, Any]:
    """Problems of a sample, and its annotation and picture size where they can be read."""
    outcome: dict[str, Any] = {"problems": []}
    picture, annotation = base.with_name(f"{base.name}.jpg"), base.with_name(f"{base.name}.json")
    for name, path, read in (
        ("annotation", annotation, read_annotation),
        ("size", picture, lambda path: _picture_size(path, decode)),
    ):
        if not path.is_file():
            outcome["problems"].append((path.name, "is missing"))
            continue
        try:
            outcome[name] = read(path)
        except (HamerError, ValueError, KeyError, TypeError, OSError) as error:
            outcome["problems"].append((path.name, str(error)))
    if {"annotation", "size"} <= set(outcome):
        outcome["problems"] += [(annotation.name, fault) for fault in _misfits(outcome["annotation"], outcome["size"])]
    return outcome


def _picture_size(path: Path, decode: bool) -> tuple[int, int]:
    size = picture_size(path)
    if decode:
        read_picture(path)
    with path.open("rb") as file:
        file.seek(-min(64, path.stat().st_size), 2)
        if _END_OF_JPEG not in file.read():
            raise ValueError("the picture has no end: it was cut")
    if min(size) < _SMALLEST:
        raise ValueError(f"the picture is {size[0]} x {size[1]} px")
    return size


def _misfits(found: Any, size: tuple[int, int]) -> Iterator[str]:
    """What does not fit between an annotation and a picture of this size."""
    if found.is_right is None:
        yield "the name does not end in _l or _r"
    if (found.box[:2] < -_BOX_SLACK).any() or (found.box[2:] > np.array(size) + _BOX_SLACK).any():
        yield f"its box {found.box.round(1).tolist()} reaches over the picture of {size[0]} x {size[1]} px: another frame?"
    if not found.inside(*size).any():
        yield f"none of its joints is in the picture of {size[0]} x {size[1]} px"
