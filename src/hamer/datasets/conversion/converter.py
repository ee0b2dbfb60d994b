"""A part of a release to the files of evaluation: every hand checked, what is bad named and counted, each file in one step."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.conversion.common import ConvertOptions, Part, ReleaseError
from hamer.datasets.conversion.listing import add_to_listing
from hamer.datasets.conversion.releases import check_counts, read_parts
from hamer.datasets.conversion.rows import Rows, row_of, with_joints, write_arrays
from hamer.datasets.packing.annotations import HandAnnotation
from hamer.datasets.packing.card import DataSetCard
from hamer.datasets.packing.packer import PackOptions, pack
from hamer.datasets.picture_sizes import picture_size
from hamer.errors import HamerError
from hamer.pipeline.pictures import read_picture
from hamer.results.writing import write_atomic

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int, int], None]
"""Called after each picture: name of the part, pictures done, of how many, bad ones so far."""

CARD_SUFFIX = ".conversion.json"
_SCHEMA = "hamer/conversion/1"
_AT_ONCE = 256  # pictures handed to the threads together
_MIN_JOINTS = 3
_FAULTS = (HamerError, ValueError, KeyError, TypeError, IndexError, OSError)


class _NothingUsableError(ReleaseError):
    """A part of which not one picture could be used."""


@dataclass
class Converted:
    """What became of a part: the card that is written beside its files.

    `pictures` annotated, `hands` written; `bad` (picture, reason) of pictures that could not be used, `unlabelled` of hands
    without enough labels for a box; `files` written, names of `sets` for configurations.
    """

    release: str
    split: str
    pictures: int
    hands: int
    left: int
    with_3d: int
    with_pose: int
    with_vertices: bool
    sets: list[str]
    files: list[str]
    counts: list[str]
    notes: list[str]
    bad: list[tuple[str, str]] = field(default_factory=list)
    unlabelled: list[tuple[str, str]] = field(default_factory=list)
    fingerprint: str = ""
    schema: str = _SCHEMA
    is_new: bool = True

    @property
    def is_complete(self) -> bool:
        return not self.bad


def convert(
    name: str,
    source: str | Path,
    out_folder: str | Path,
    options: ConvertOptions | None = None,
    *,
    allow_incomplete: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Converted]:
    """Write the npz files of a release into `out_folder`, and `datasets_eval.yaml` that lists them.

    Pictures that cannot be used are left out, named and counted; parts that an earlier run finished from the same files
    are left as they are.

    Args:
        name: of `RELEASES`. source: the unpacked release.
        allow_incomplete: go on where fewer or more samples are there than were published.
        overwrite: convert finished parts anew.
        workers: threads that look at pictures; None for one a processor.

    Raises:
        ReleaseError: the release is not there, not as its makers lay it out, or (unless allowed) not complete.
    """
    options = options or ConvertOptions()
    parts = read_parts(name, source, options)
    require_published(parts, allow_incomplete)
    folder = Path(out_folder)
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for part in parts:
        fingerprint = _fingerprint(name, part, options)
        done = None if overwrite else _finished(folder, part, fingerprint)
        try:
            results.append(done or _convert_part(name, part, folder, fingerprint, options, workers, progress))
        except _NothingUsableError as error:
            if not allow_incomplete or len(parts) == 1:
                raise
            logger.warning(
                "%s; it is left out", error
            )  # HInt without Ego4D's frames: the other folders are worth having
            continue
        add_to_listing(folder, part)
    if not results:
        raise _NothingUsableError(f"no part of {source} has a picture that can be used")
    return results


def convert_to_tars(
    name: str,
    source: str | Path,
    out_folder: str | Path,
    options: ConvertOptions | None = None,
    *,
    allow_incomplete: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[DataSetCard]:
    """The same release as training tars, a folder a part; see `hamer.datasets.packing.pack`."""
    options = options or ConvertOptions()
    parts = read_parts(name, source, options)
    require_published(parts, allow_incomplete)
    cards = []
    for part in parts:
        folder = Path(out_folder) / Path(part.outputs[0].file).stem
        bad = 0

        def told(done: int, total: int, _hands: int, skipped: list[tuple[str, str]], part: Part = part) -> None:
            nonlocal bad
            bad += len(skipped)
            if progress:
                progress(part.split, done, total, bad)

        shards = pack(
            part.training or part.pictures, folder, PackOptions(), workers=workers, overwrite=overwrite, progress=told,
            origin={"release": name, "split": part.split, "mano": str(options.mano), "side": str(options.side)},
        )  # fmt: skip
        card = DataSetCard.of(shards, name=f"{part.outputs[0].name.removesuffix('-ALL')}-TARS", source=name, kind=name)
        card.write(folder)
        cards.append(card)
    return cards


def require_published(parts: list[Part], allow_incomplete: bool) -> None:
    """Compare the counts with those published.

    Raises ReleaseError where they differ, unless that is allowed; then a warning is logged.
    """
    wrong = check_counts(parts)
    if not wrong:
        return
    figures = "; ".join(map(str, wrong))
    notes = [note for part in parts for note in part.notes if "missing" in note]
    if not allow_incomplete:
        raise ReleaseError(
            "\n".join([f"the release is not complete as published: {figures}", *notes])
            + "\nscores on it cannot be compared with others'; fetch what is missing, or go on with --allow_incomplete"
        )
    logger.warning("not as published: %s; scores cannot be compared with others'", figures)


def _convert_part(
    name: str,
    part: Part,
    folder: Path,
    fingerprint: str,
    options: ConvertOptions,
    workers: int | None,
    progress: Progress | None,
) -> Converted:
    rows, bad, unlabelled = Rows(), [], []
    total = len(part.pictures)
    for index, outcome in enumerate(_prepared(part, options, workers)):
        for row in outcome.rows:
            rows.add(row)
        bad += [(part.pictures.name(index), reason) for reason in outcome.bad]
        unlabelled += [(part.pictures.name(index), reason) for reason in outcome.unlabelled]
        if progress:
            progress(part.split, index + 1, total, len(bad))
    if not rows.count:
        first = f"; the first: {bad[0][0]}: {bad[0][1]}" if bad else ""
        raise _NothingUsableError(f"none of the {total} pictures of {part.split} could be used{first}")
    arrays, vertices = rows.arrays(), rows.vertices()
    files = _write(part, folder, arrays, vertices)
    result = Converted(
        name, part.split, total, rows.count, int((arrays["right"] == 0).sum()),
        int(arrays["hand_keypoints_3d"][..., 3].any(axis=1).sum()), int((arrays["has_hand_pose"] > 0).sum()),
        vertices is not None, [o.name for o in part.outputs], [f.name for f in files],
        [str(count) for count in part.counts], part.notes, bad, unlabelled, fingerprint,
    )  # fmt: skip
    card = {key: value for key, value in asdict(result).items() if key != "is_new"}
    write_atomic(_card_path(folder, part), (json.dumps(card, indent=1) + "\n").encode())
    return result


def _write(part: Part, folder: Path, arrays: dict[str, np.ndarray], vertices: np.ndarray | None) -> list[Path]:
    """The files of a part, vertices first: an npz never names a file that is not there."""
    files = []
    extra = {} if part.side_known else {"side_known": np.zeros(len(arrays["right"]), bool)}
    if vertices is not None:
        stem = Path(part.outputs[0].file).stem
        files.append(write_arrays(folder / f"{stem}_vertices.npy", {"vertices": vertices}))
        extra["vertices_file"] = np.array(files[0].name)
    for output in part.outputs:
        files.append(write_arrays(folder / output.file, {**with_joints(arrays, output.joints), **extra}))
    return files


@dataclass
class _Outcome:
    """The rows of a picture, and what could not be used."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)


def _prepared(part: Part, options: ConvertOptions, workers: int | None) -> Iterator[_Outcome]:
    """The pictures' outcomes in order; threads wait for the disk."""
    indices = iter(range(len(part.pictures)))
    with ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="convert") as pool:
        while batch := list(islice(indices, _AT_ONCE)):
            yield from pool.map(lambda index: _prepare(part, index, options), batch)


def _prepare(part: Part, index: int, options: ConvertOptions) -> _Outcome:
    try:
        return _prepare_picture(part, index, options)
    except ReleaseError:  # of the release
        raise
    except _FAULTS as error:  # of this picture alone
        reason = f"{type(error).__name__} {error}" if isinstance(error, (KeyError, IndexError)) else str(error)
        return _Outcome(bad=[reason])


def _prepare_picture(part: Part, index: int, options: ConvertOptions) -> _Outcome:
    annotation = part.pictures[index]
    size = _size(annotation.path, options)
    if size is not None and annotation.size is not None and size != annotation.size:
        raise ValueError(f"the picture is {size[0]} x {size[1]} px, its annotation is for {annotation.size}")
    imgname = Path(os.path.relpath(annotation.path, part.img_dir)).as_posix()
    outcome = _Outcome(unlabelled=list(annotation.faults))
    for number, hand in enumerate(annotation.hands):
        reason = _unusable(hand, size)
        if reason:
            outcome.unlabelled.append(f"hand {number}: {reason}")
            continue
        outcome.rows.append(row_of(hand, imgname, annotation.camera, f"{annotation.name}#{number}"))
    return outcome


def _size(path: Path, options: ConvertOptions) -> tuple[int, int] | None:
    if options.pictures == "none":
        return None
    if options.pictures == "decode":
        read_picture(path)
    return picture_size(path)


def _unusable(hand: HandAnnotation, size: tuple[int, int] | None) -> str | None:
    """Why a hand cannot be evaluated on, or None."""
    labelled = 0 if hand.keypoints_2d is None else int((hand.keypoints_2d[:, 2] > 0).sum())
    if hand.box is None and labelled < _MIN_JOINTS:
        return f"no box, and {labelled} labelled joints to draw one around"
    box = hand.tight_box()
    if not (box[2:] - box[:2] >= 1).all():
        return f"a box of {box[2] - box[0]:g} x {box[3] - box[1]:g} px"
    if size is not None and not ((box[:2] < size).all() and (box[2:] > 0).all()):
        return f"its box {box.round().tolist()} is off the picture of {size[0]} x {size[1]} px"
    return None


def _card_path(folder: Path, part: Part) -> Path:
    stem = Path(part.outputs[0].file).stem.removesuffix("_all")
    return folder / f"{stem}{CARD_SUFFIX}"


def _finished(folder: Path, part: Part, fingerprint: str) -> Converted | None:
    """What an earlier run made of the same files, if all of it is there."""
    try:
        card = json.loads(_card_path(folder, part).read_text(encoding="utf-8"))
        if card["schema"] != _SCHEMA or card["fingerprint"] != fingerprint:
            return None
        result = Converted(**card, is_new=False)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if all((folder / file).is_file() for file in result.files) else None


def _fingerprint(name: str, part: Part, options: ConvertOptions) -> str:
    """Changes with the annotation files, the pictures' names and the options."""
    names = hashlib.sha256("\n".join(part.pictures.name(i) for i in range(len(part.pictures))).encode(errors="replace"))
    files = [[file.name, (stat := file.stat()).st_size, stat.st_mtime_ns] for file in part.pictures.files]
    whole = [_SCHEMA, name, part.split, str(part.img_dir), names.hexdigest(), files, asdict(options)]
    return hashlib.sha256(json.dumps(whole, default=str).encode()).hexdigest()[:16]
