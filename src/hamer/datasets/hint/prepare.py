"""Ego4D's frames put beside HInt's annotations, from the clips that a licensee has downloaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from av.error import FFmpegError

from hamer.datasets.hint.folders import HintFolder, find_folders
from hamer.datasets.hint.frames import VideoFrames
from hamer.datasets.hint.jpegs import jpeg_bytes
from hamer.errors import HamerError
from hamer.results.writing import write_atomic

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi")

Progress = Callable[[int, int, int], None]
"""Called after each clip: pictures settled, of how many, faults so far."""


@dataclass(frozen=True)
class FrameName:
    """What the stem `clip_action_frame_type_type_side` says: the clip, and the number of its frame, from 0."""

    clip: str
    frame: int

    @classmethod
    def of(cls, stem: str) -> FrameName:
        """Raises ValueError where `stem` is not of that form."""
        words = stem.split("_")
        if len(words) != 6 or not words[0] or not words[2].isdigit():
            raise ValueError(f"the name must be clip_action_frame_type_type_side, got {stem}")
        return cls(words[0], int(words[2]))


@dataclass
class Prepared:
    """What became of the missing pictures.

    `wanted` pictures were missing, `written` are there now; `faults` (what, reason) of clips and pictures; `uneven` clips
    whose frames are not evenly spaced.
    """

    wanted: int = 0
    present: int = 0
    written: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    uneven: list[str] = field(default_factory=list)


def prepare(
    root: str | Path,
    clips: str | Path,
    *,
    split: str | None = None,
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Prepared:
    """Write the missing jpg of HInt's Ego4D folders; what is there stays, so that an interrupted run goes on.

    Args:
        root: HInt's folder. clips: folder of Ego4D's clips, `<clip>.mp4`, searched with its subfolders.
        split: TRAIN, VAL, TEST or the name of a folder; None for all.
        overwrite: write pictures that are there too.
        workers: clips worked on at once; each decodes with threads of its own.

    Raises:
        ValueError: `root` has no such folders. FileNotFoundError: no folder `clips`.
    """
    if not Path(clips).is_dir():
        raise FileNotFoundError(f"the clips' folder must exist, but there is none at {clips}")
    folders = [folder for folder in find_folders(Path(root), split) if folder.is_ego4d]
    result, targets = Prepared(), defaultdict[str, dict[int, list[Path]]](lambda: defaultdict(list))
    for picture in _pictures(folders):
        if picture.is_file() and not overwrite:
            result.present += 1
            continue
        result.wanted += 1
        try:
            name = FrameName.of(picture.stem)
        except ValueError as error:
            result.faults.append((picture.name, str(error)))
            continue
        targets[name.clip][name.frame].append(picture)
    _fill(result, targets, _clips_by_name(Path(clips)), workers, progress)
    return result


def _pictures(folders: Iterable[HintFolder]) -> Iterable[Path]:
    for folder in folders:
        yield from (file.with_suffix(".jpg") for file in folder.annotations())


def _clips_by_name(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(folder.rglob("*")) if file.suffix.lower() in VIDEO_SUFFIXES}


def _fill(
    result: Prepared,
    targets: dict[str, dict[int, list[Path]]],
    clips: dict[str, Path],
    workers: int,
    progress: Progress | None,
) -> None:
    total = sum(len(paths) for frames in targets.values() for paths in frames.values())
    settled = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="clips") as pool:
        waiting = {pool.submit(_fill_from, clips.get(clip), frames): clip for clip, frames in sorted(targets.items())}
        for future in as_completed(waiting):
            clip = waiting[future]
            written, is_even, faults = future.result()
            result.written += written
            result.faults += [(clip, fault) for fault in faults]
            if not is_even:
                result.uneven.append(clip)
            settled += sum(map(len, targets[clip].values()))
            if progress:
                progress(settled, total, len(result.faults))
    result.faults.sort()
    result.uneven.sort()


def _fill_from(clip: Path | None, frames: dict[int, list[Path]]) -> tuple[int, bool, list[str]]:
    """Write the pictures of one clip; how many, whether its frames are evenly spaced, and what went wrong."""
    pictures = sum(map(len, frames.values()))
    if clip is None:
        return 0, True, [f"the clip is not there; {pictures} pictures need it"]
    written, missing = 0, set(frames)
    try:
        video = VideoFrames(clip)
        for number, frame in video.frames(list(frames)):
            content = jpeg_bytes(frame)
            for path in frames[number]:
                write_atomic(path, content)
                written += 1
            missing.discard(number)
    except (HamerError, OSError, ValueError, FFmpegError) as error:  # of this clip; the others go on
        return written, True, [f"{error}; {pictures - written} pictures are still missing"]
    faults = [
        f"frame {number} is not in the clip, which has {video.count or 'fewer'} frames" for number in sorted(missing)
    ]
    return written, video.is_constant_rate, faults
