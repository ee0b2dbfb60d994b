"""A training tar examined: every picture decoded, every annotation read safely and checked."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.checking.findings import Findings
from hamer.datasets.checking.pictures import EXTENSIONS, picture_of
from hamer.datasets.checking.posing import check_pose
from hamer.datasets.checking.sample_checks import Problem, check_hand
from hamer.datasets.checking.tar_samples import TarSample, tar_samples
from hamer.datasets.hands import read_masks
from hamer.errors import HamerError
from hamer.hand_models.layer import HandModel

Show = Callable[[str, np.ndarray, Mapping[str, Any]], None]
"""Called with each sound hand: where it is, its RGB picture and its fields."""


@dataclass
class Examined:
    """What became of a sample."""

    key: str
    picture: np.ndarray | None
    hands: list[Mapping[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    digest: bytes | None = None


def check_tar(
    path: Path, findings: Findings, *, hand_model: HandModel | None = None, workers: int = 1, show: Show | None = None
) -> None:
    """Examine every sample of the tar at `path`; what is found goes to `findings`, sound hands to `show`.

    Args:
        hand_model: with one, poses are compared with the joints too.
    """
    problems: list[Problem] = []
    findings.files.append(str(path))
    empty = True
    for sample in _examined(tar_samples(path, problems), hand_model, workers):
        empty = False
        where = f"{path}:{sample.key}"
        findings.add_problems(where, sample.problems)
        findings.add_picture(where, sample.digest)
        if sample.picture is not None:
            findings.statistics.add_picture(sample.picture.shape[1], sample.picture.shape[0])
        for number, hand in enumerate(sample.hands):
            findings.statistics.add_hand(hand)
            if show is not None and sample.picture is not None:
                show(f"{path.name}:{sample.key}#{number}", sample.picture, hand)
        findings.samples += 1
    if empty and not problems:
        problems.append(Problem("tar", "the tar holds no sample"))
    findings.add_problems(str(path), problems)


def _examined(samples: Iterator[TarSample], hand_model: HandModel | None, workers: int) -> Iterator[Examined]:
    work = partial(examine, hand_model=hand_model)
    if workers <= 1:
        yield from map(work, samples)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="check") as pool:
        while batch := list(islice(samples, 4 * workers)):
            yield from pool.map(work, batch)


def examine(sample: TarSample, hand_model: HandModel | None = None) -> Examined:
    """Decode and check one sample; hands with an error are among the problems only."""
    problems = list(sample.problems)
    picture = picture_of(sample.members, problems)
    result = Examined(sample.key, picture, problems=problems, digest=_digest(sample.members))
    annotation = _annotation(sample.members, problems)
    if picture is None or annotation is None:
        return result
    height, width = picture.shape[:2]
    for number, hand in enumerate(annotation):
        found = check_hand(hand, width, height)
        if hand_model is not None and not any(p.is_error for p in found):
            found += check_pose(hand, width, height, hand_model)
        problems += [Problem(p.code, f"hand {number}: {p.message}", p.is_error) for p in found]
        if not any(p.is_error for p in found):
            result.hands.append(hand)
    _check_masks(sample.members, result.hands, (height, width), problems)
    return result


def _digest(members: Mapping[str, bytes]) -> bytes | None:
    """What tells a picture file from others."""
    content = next((members[name] for name in EXTENSIONS if name in members), None)
    return None if content is None else hashlib.blake2b(content, digest_size=12).digest()


def _annotation(members: Mapping[str, bytes], problems: list[Problem]) -> list[Any] | None:
    """The list in data.pyd, read through the allow-list; None where there is none."""
    if "data.pyd" not in members:
        problems.append(Problem("annotation", f"a sample needs data.pyd, got {sorted(members)}"))
        return None
    try:
        content = load_pickle(members["data.pyd"])
    except HamerError as error:
        problems.append(Problem("annotation", f"data.pyd: {error}"))
        return None
    if not isinstance(content, list):
        problems.append(Problem("annotation", f"data.pyd must hold a list of dicts, got {type(content).__name__}"))
        return None
    if not content:
        problems.append(Problem("annotation", "data.pyd holds no hand", False))
    return content


def _check_masks(
    members: Mapping[str, bytes], hands: list[Mapping[str, Any]], size: tuple[int, int], problems: list[Problem]
) -> None:
    rows = [(hand.get("extra_info") or {}).get("detection_npz_idx") for hand in hands]
    wanted = [row for row in rows if row is not None]
    if "detection.npz" not in members:
        if wanted:
            problems.append(Problem("mask", "detection_npz_idx names a mask, but there is no detection.npz"))
        return
    if len(wanted) < len(rows):
        problems.append(Problem("mask", "with a detection.npz every hand needs extra_info.detection_npz_idx"))
    try:
        masks = read_masks(members["detection.npz"], size)
        assert masks is not None
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        problems.append(Problem("mask", f"detection.npz: {error}"))
        return
    if any(not isinstance(row, (int, np.integer)) or not 0 <= row < len(masks) for row in wanted):
        problems.append(Problem("mask", f"detection_npz_idx must be below {len(masks)}, got {wanted}"))
