"""Made pictures written as training tars: by several processes, in order, and from where an earlier run stopped.

A sample is `NNNNNN.jpg`, `NNNNNN.data.pyd` (a list of one annotated hand) and `NNNNNN.parts.png` (labels of the parts,
one byte a pixel); NNNNNN counts the folder's pictures.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hamer.datasets.packing.journal import Journal, Shard, open_journal
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.tar_writing import TarShard, annotation_bytes
from hamer.errors import HamerError

RECIPE_VERSION = 6
"""Raised when the same options come to give other pictures: folders made before are not continued then."""

_CHUNK = 20  # pictures that a process makes at a time
_AHEAD = 3  # chunks a process that wait to be written

Progress = Callable[[int, int], None]
"""Called with the pictures done and how many there will be."""


class WorkerDiedError(HamerError, RuntimeError):
    """A process that made pictures ended without a word, as where memory runs out."""


@dataclass(frozen=True)
class Recipe:
    """Everything that made pictures depend on, in plain values that another process can be given.

    `hand` as `hamer.pipeline.reconstructor.load_hand_model` takes it ("open", "mano", a MANO file); `backgrounds`: folder
    of the user's pictures, or None; `landmarks`: note what the landmark model sees; `quality` of the JPEGs.
    """

    options: SyntheticOptions = field(default_factory=SyntheticOptions)
    seed: int = 0
    first_index: int = 0
    hand: str = "open"
    backgrounds: Path | None = None
    landmarks: bool = True
    quality: int = 92

    def __post_init__(self) -> None:
        if self.first_index < 0 or self.seed < 0:
            raise ValueError(f"seed and first_index must be 0 or more, got {self.seed} and {self.first_index}")
        if not 50 <= self.quality <= 100:
            raise ValueError(f"quality must be 50 to 100, got {self.quality}")
        if self.backgrounds is not None and not self.backgrounds.is_dir():
            raise ValueError(f"backgrounds must be a folder of pictures, but there is none at {self.backgrounds}")

    def record(self) -> dict[str, Any]:
        """The recipe for the journal, the background pictures as a checksum of their names and sizes."""
        folder = None if self.backgrounds is None else _listing_digest(self.backgrounds)
        return {
            "recipe": RECIPE_VERSION, "seed": self.seed, "first_index": self.first_index, "hand": Path(self.hand).name,
            "backgrounds": folder, "landmarks": self.landmarks, "quality": self.quality, "options": self.options.plain(),
        }  # fmt: skip

    def maker(self) -> Any:
        """The `PictureMaker`; heavy imports happen here."""
        from hamer.datasets.landmarking import Landmarker
        from hamer.datasets.synthetic.backgrounds.backgrounds import Backgrounds
        from hamer.datasets.synthetic.maker import PictureMaker
        from hamer.pipeline.reconstructor import load_hand_model

        return PictureMaker(
            load_hand_model(self.hand), self.options, self.seed,
            backgrounds=Backgrounds(self.backgrounds, share=self.options.background_share),
            landmarker=Landmarker() if self.landmarks else None,
        )  # fmt: skip


@dataclass(frozen=True)
class MadeSample:
    """A sample ready to be written: `members` extension -> content, and whether the hand is a left one."""

    members: dict[str, bytes]
    is_left: bool


def write_shards(
    recipe: Recipe,
    count: int,
    folder: str | Path,
    *,
    shard_size: int = 1000,
    processes: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Shard]:
    """Write pictures `recipe.first_index` and the `count - 1` after it as 000000.tar, 000001.tar ...; what is in each.

    Finished shards of an earlier run with the same recipe are kept; `count` may have grown since. Bytes do not depend on
    the number of processes.

    Args:
        shard_size: pictures a tar.
        processes: that make pictures, each on one core; 1 makes them in this process.
        overwrite: begin anew in a folder that holds others.
        progress: told of every picture.

    Raises:
        ValueError: the folder holds something else, or another process writes there. OSError: it cannot be written to.
        WorkerDiedError: see there.
    """
    for name, value in (("count", count), ("shard_size", shard_size), ("processes", processes)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    with open_journal(Path(folder), {**recipe.record(), "shard_size": shard_size}, overwrite=overwrite) as journal:
        if progress:
            progress(min(journal.next, count), count)
        with closing(made_samples(recipe, range(journal.next, count), processes)) as samples:
            while journal.next < count:
                numbers = range(journal.next, min(count, journal.next + shard_size))
                _write_shard(journal, samples, numbers, progress, count)
        return journal.shards


def _write_shard(
    journal: Journal, samples: Iterator[MadeSample], numbers: range, progress: Progress | None, count: int
) -> None:
    tar = TarShard(journal.folder / f"{len(journal.tars):06d}.tar")
    left = 0
    try:
        for number in numbers:
            sample = next(samples)
            tar.add(f"{number:06d}", sample.members)
            left += sample.is_left
            if progress:
                progress(number + 1, count)
        facts = tar.close()
    except BaseException:
        tar.abandon()
        raise
    n = len(numbers)
    journal.add(
        Shard(
            facts.name, facts.size, facts.sha256, numbers.start, numbers.stop, n, n, left=left, with_pose=n, with_betas=n,
            with_3d=n,
        )
    )  # fmt: skip


def made_samples(recipe: Recipe, numbers: range, processes: int = 1) -> Generator[MadeSample, None, None]:
    """The samples of the pictures `recipe.first_index` + each of `numbers`, in order."""
    if not numbers:
        return
    if processes == 1 or len(numbers) <= _CHUNK:
        maker = recipe.maker()
        for number in numbers:
            yield encoded(maker.make(recipe.first_index + number), recipe.quality)
        return
    chunks = [numbers[i : i + _CHUNK] for i in range(0, len(numbers), _CHUNK)]
    context = multiprocessing.get_context("spawn")  # forked children of a process with threads may hang
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start_worker, initargs=(recipe,))
    waiting: deque[Future[list[MadeSample]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_make_chunk, chunk))
            if len(waiting) >= processes * _AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WorkerDiedError(
            f"a process that made pictures ended ({error}); usually memory ran out: take fewer --processes and run the same "
            "command again, it continues"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def encoded(picture: Any, quality: int) -> MadeSample:
    """A `MadePicture` as the members of a tar."""
    jpg = _encode(".jpg", cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    parts = _encode(".png", picture.parts, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    members = {"jpg": jpg, "data.pyd": annotation_bytes([picture.annotation]), "parts.png": parts}
    return MadeSample(members, is_left=not picture.truth.is_right)


def _encode(extension: str, pixels: np.ndarray, parameters: list[int]) -> bytes:
    done, content = cv2.imencode(extension, pixels, parameters)
    assert done, f"OpenCV did not write {extension}"
    return content.tobytes()


_worker: dict[str, Any] = {}
"""What a process of the pool keeps between its chunks."""


def _start_worker(recipe: Recipe) -> None:
    """In a process of the pool: one thread for everything, the keyboard left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _single_thread()
    _worker["recipe"] = recipe


def _end_with_parent() -> None:
    """Wait for the parent's end and end too: a parent that was killed cannot tell, and work would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _single_thread() -> None:
    """There are as many processes as the user wants cores busy."""
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _make_chunk(numbers: range) -> list[MadeSample]:
    recipe = _worker["recipe"]
    if "maker" not in _worker:  # not while the process starts: what goes wrong here is told by its own name
        _worker["maker"] = recipe.maker()
    maker = _worker["maker"]
    return [encoded(maker.make(recipe.first_index + number), recipe.quality) for number in numbers]


def _listing_digest(folder: Path) -> str:
    lines = sorted(f"{file.relative_to(folder)} {file.stat().st_size}" for file in folder.rglob("*") if file.is_file())
    return hashlib.sha256("\n".join(lines).encode(errors="replace")).hexdigest()[:16]
