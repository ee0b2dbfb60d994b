"""Annotated pictures to a folder of shards: in order, in threads, and from where an earlier run stopped."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.checking.sample_checks import check_hand
from hamer.datasets.hands import decode
from hamer.datasets.landmarking import Landmarker
from hamer.datasets.packing.annotations import HandAnnotation, Pictures
from hamer.datasets.packing.journal import Journal, Shard, open_journal
from hamer.datasets.packing.picture_files import PictureBytes, picture_bytes, read_mask
from hamer.datasets.packing.samples import BOX_FACTOR, hand_sample
from hamer.datasets.tar_writing import ShardFacts, TarShard, annotation_bytes, mask_bytes
from hamer.errors import HamerError
from hamer.structures import Camera

_AHEAD_PER_WORKER = 4  # pictures read before they are needed, so that no thread waits for the slowest

Progress = Callable[[int, int, int, list[tuple[str, str]]], None]
"""Called after each picture: pictures done, of how many, hands packed so far, what was left out of this picture."""


@dataclass(frozen=True)
class PackOptions:
    """What the shards depend on.

    `shard_size` pictures at most a shard, and `shard_bytes` of content at most (a single larger sample gets its own);
    `box_factor` side of the stored box over the tight one; `min_keypoints` hands with fewer labelled joints are left
    out; `max_side` px above which pictures are made smaller, None for never; `leave_out` names of fields to drop, of
    "keypoints_3d", "hand_pose", "betas"; `landmarks`: note what the landmark model sees of each hand
    (`hamer.datasets.landmarking`), for networks that are given its points.
    """

    shard_size: int = 1000
    shard_bytes: int = 1_000_000_000
    box_factor: float = BOX_FACTOR
    min_keypoints: int = 5
    max_side: int | None = None
    leave_out: tuple[str, ...] = ()
    landmarks: bool = False

    def __post_init__(self) -> None:
        for name in ("shard_size", "shard_bytes", "box_factor"):
            if not getattr(self, name) > 0:
                raise ValueError(f"PackOptions.{name} must be positive, got {getattr(self, name)}")
        if self.max_side is not None and self.max_side < 64:
            raise ValueError(f"PackOptions.max_side must be at least 64 px, got {self.max_side}")
        unknown = set(self.leave_out) - {"keypoints_3d", "hand_pose", "betas"}
        if unknown:
            raise ValueError(f"PackOptions.leave_out takes keypoints_3d, hand_pose, betas, got {sorted(unknown)}")


@dataclass
class _Prepared:
    """A picture ready to be written, or the reason why it is not."""

    members: dict[str, bytes] = field(default_factory=dict)
    hands: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def pack(
    pictures: Pictures[Any],
    folder: str | Path,
    options: PackOptions | None = None,
    *,
    origin: Mapping[str, Any] | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Shard]:
    """Write `pictures` as shards 000000.tar, 000001.tar ... into `folder`; returns what is in each.

    Pictures that cannot be read and hands that are no valid annotation are left out and noted in the journal; pictures
    without a valid hand are left out too. The same pictures and options give the same bytes, whatever the number of
    workers and however often a run was interrupted.

    Args:
        origin: how the annotations were read, where that changes them: a run continues only with the same.
        workers: threads that read and check pictures; None for one a processor.
        overwrite: begin anew in a folder that holds another pack.
        progress: told after each picture.

    Raises:
        ValueError: the folder holds something else, or another process writes there. OSError: it cannot be written to.
        AssetError: the landmark model could not be fetched or read. MissingExtraError: ai-edge-litert is not installed.
    """
    options, workers = options or PackOptions(), workers or os.cpu_count() or 1
    landmarker = Landmarker(threads=workers) if options.landmarks else None
    content = {**_content_of(pictures, options), "origin": dict(origin or {})}
    with open_journal(Path(folder), content, overwrite=overwrite) as journal:
        total, hands = len(pictures), sum(shard.hands for shard in journal.shards)
        if progress:
            progress(journal.next, total, hands, [])
        writer = _ShardWriter(journal, options)
        try:
            for index, prepared in _prepared(pictures, range(journal.next, total), options, landmarker, workers):
                writer.add(index, prepared)
                hands += len(prepared.hands)
                if progress:
                    progress(index + 1, total, hands, prepared.skipped)
            writer.finish(total)
        finally:
            writer.abandon()
        return journal.shards


class _ShardWriter:
    """The shard under way, and when it is full."""

    def __init__(self, journal: Journal, options: PackOptions) -> None:
        self._journal, self._options = journal, options
        self._tar: TarShard | None = None
        self._first, self._key = journal.next, sum(shard.pictures for shard in journal.shards)
        self._hands: list[dict[str, Any]] = []
        self._skipped: list[tuple[str, str]] = []

    def add(self, index: int, prepared: _Prepared) -> None:
        if prepared.members:
            size = sum(map(len, prepared.members.values()))
            if self._tar is not None and self._tar.content_size + size > self._options.shard_bytes:
                self.finish(index)
            if self._tar is None:
                self._tar = TarShard(self._journal.folder / f"{len(self._journal.tars):06d}.tar")
            self._tar.add(f"{self._key:06d}", prepared.members)
            self._key += 1
            self._hands += prepared.hands
        self._skipped += prepared.skipped
        if self._tar is not None and self._tar.samples >= self._options.shard_size:
            self.finish(index + 1)

    def finish(self, upto: int) -> None:
        """Close the shard and note it, or only what was left out since the last one."""
        if self._tar is None and upto == self._first:
            return
        samples, hands = (self._tar.samples if self._tar else 0), self._hands
        facts = self._tar.close() if self._tar else ShardFacts("", 0, "")
        self._tar = None
        has = {name: sum(float(hand[name]) > 0 for hand in hands) for name in ("has_hand_pose", "has_betas")}
        self._journal.add(
            Shard(
                facts.name, facts.size, facts.sha256, self._first, upto, samples, len(hands),
                left=sum(float(hand["right"]) == 0 for hand in hands), with_pose=has["has_hand_pose"],
                with_betas=has["has_betas"], with_3d=sum(bool(hand["keypoints_3d"][:, 3].any()) for hand in hands),
                skipped=self._skipped,
            )
        )  # fmt: skip
        self._first, self._hands, self._skipped = upto, [], []

    def abandon(self) -> None:
        if self._tar is not None:
            self._tar.abandon()


def _content_of(pictures: Pictures[Any], options: PackOptions) -> dict[str, Any]:
    """What the shards are made of, for the journal's first line."""
    names = hashlib.sha256("\n".join(pictures.name(i) for i in range(len(pictures))).encode(errors="replace"))
    chosen = {**asdict(options), "leave_out": list(options.leave_out)}
    if not options.landmarks:  # packs that were begun before there was the choice go on
        del chosen["landmarks"]
    files = [[file.name, (stat := file.stat()).st_size, stat.st_mtime_ns] for file in pictures.files]
    return {
        "pictures": len(pictures),
        "names": names.hexdigest()[:16],
        "annotations": files if len(files) <= 20 else hashlib.sha256(repr(files).encode()).hexdigest()[:16],
        "options": chosen,
    }


def _prepared(
    pictures: Pictures[Any], indices: range, options: PackOptions, landmarker: Landmarker | None, workers: int
) -> Iterator[tuple[int, _Prepared]]:
    """The pictures of `indices` in order, a few of them worked on ahead."""
    if workers == 1:
        yield from ((index, _prepare(pictures, index, options, landmarker)) for index in indices)
        return
    waiting: deque[tuple[int, Future[_Prepared]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="pack") as pool:
        try:
            for index in indices:
                waiting.append((index, pool.submit(_prepare, pictures, index, options, landmarker)))
                if len(waiting) >= workers * _AHEAD_PER_WORKER:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _prepare(pictures: Pictures[Any], index: int, options: PackOptions, landmarker: Landmarker | None) -> _Prepared:
    try:
        return _prepare_picture(pictures, index, options, landmarker)
    except (HamerError, ValueError, KeyError, TypeError, IndexError, OSError) as error:  # of this picture alone
        reason = f"{type(error).__name__} {error}" if isinstance(error, (KeyError, IndexError)) else str(error)
        return _Prepared(skipped=[(pictures.name(index), reason)])


def _prepare_picture(
    pictures: Pictures[Any], index: int, options: PackOptions, landmarker: Landmarker | None
) -> _Prepared:
    annotation = pictures[index]
    skipped = [(annotation.name, fault) for fault in annotation.faults]
    if not annotation.hands:
        return _Prepared(skipped=skipped or [(annotation.name, "no annotated hand")])
    picture = picture_bytes(annotation.path, max_side=options.max_side)
    upright = round(picture.width / picture.scale), round(picture.height / picture.scale)
    if annotation.size is not None and not np.allclose(annotation.size, upright, atol=1 / picture.scale):
        raise ValueError(
            f"the annotation is for a picture of {annotation.size[0]} x {annotation.size[1]} px, but the file has "
            f"{upright[0]} x {upright[1]} (upright): annotate the upright picture, or give the file it was made for"
        )
    camera = _scaled_camera(annotation.camera, picture.scale)
    hands: list[dict[str, Any]] = []
    masks: list[np.ndarray] = []
    has_masks = any(hand.mask for hand in annotation.hands)  # then each has one: readers ask for it
    for number, hand in enumerate(annotation.hands):
        mask_index = len(masks) if has_masks else None
        try:
            sample = hand_sample(
                _reduced(hand, picture.scale, options), camera=camera, box_factor=options.box_factor,
                source=f"{annotation.name}#{number}", mask_index=mask_index,
            )  # fmt: skip
            _require_valid(sample, picture, options)
            if has_masks:
                masks.append(read_mask(hand.mask, *upright) if hand.mask else np.ones(upright[::-1], bool))
        except (HamerError, ValueError, OSError) as error:
            skipped.append((annotation.name, f"hand {number}: {error}"))
            continue
        hands.append(sample)
    if landmarker is not None and hands:
        _note_landmarks(landmarker, picture, hands, index)
    return _Prepared(_members(picture, hands, masks) if hands else {}, hands, skipped)


def _note_landmarks(landmarker: Landmarker, picture: PictureBytes, hands: list[dict[str, Any]], index: int) -> None:
    rgb = np.ascontiguousarray(decode(picture.content)[:, :, ::-1])
    rngs = [np.random.default_rng([index, number]) for number in range(len(hands))]
    for hand, found in zip(hands, landmarker.of_hands(rgb, [h["keypoints_2d"] for h in hands], rngs), strict=True):
        if found is not None:
            hand.update(found.labels())


def _members(picture: PictureBytes, hands: list[dict[str, Any]], masks: list[np.ndarray]) -> dict[str, bytes]:
    members = {picture.extension: picture.content, "data.pyd": annotation_bytes(hands)}
    if masks:
        members["detection.npz"] = mask_bytes(np.stack([_resized(m, picture.width, picture.height) for m in masks]))
    return members


def _resized(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """The mask at the size of a picture that was made smaller: the nearest pixel's value."""
    if mask.shape == (height, width):
        return mask
    rows = (np.arange(height) + 0.5) * mask.shape[0] / height
    columns = (np.arange(width) + 0.5) * mask.shape[1] / width
    return mask[rows.astype(int)[:, None], columns.astype(int)]


def _reduced(hand: HandAnnotation, scale: float, options: PackOptions) -> HandAnnotation:
    """The hand in a picture made smaller by `scale`, without the fields to be left out."""
    points, box = hand.keypoints_2d, hand.box
    if scale != 1:
        box = None if box is None else box * scale
        # pixel centres: x of the large picture is (x + 0.5) * scale - 0.5 of the small one
        points = None if points is None else np.c_[(points[:, :2] + 0.5) * scale - 0.5, points[:, 2]]
    kept = {n: None if n in options.leave_out else getattr(hand, n) for n in ("keypoints_3d", "hand_pose", "betas")}
    return HandAnnotation(hand.is_right, box, points, mask=hand.mask, **kept)


def _scaled_camera(camera: Camera | None, scale: float) -> Camera | None:
    if camera is None or scale == 1:
        return camera
    cx, cy = ((c + 0.5) * scale - 0.5 for c in (camera.cx, camera.cy))
    return Camera(camera.fx * scale, camera.fy * scale, cx, cy, camera.distortion, camera.source)


def _require_valid(sample: dict[str, Any], picture: PictureBytes, options: PackOptions) -> None:
    """Raise ValueError where training could not use the hand."""
    labelled = int((sample["keypoints_2d"][:, 2] > 0).sum())
    if labelled < options.min_keypoints:
        raise ValueError(f"keypoints_2d must have {options.min_keypoints} labelled joints or more, got {labelled}")
    errors = [p for p in check_hand(sample, picture.width, picture.height) if p.is_error]
    if errors:
        raise ValueError("; ".join(p.message for p in errors))
