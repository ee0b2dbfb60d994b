"""Every way on annotated photos: the detector looks once at each, the ways share what it found."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablation.ways import Answer, Way
from hamer.detectors.mediapipe import MediapipeDetector
from hamer.evaluation.auc import area
from hamer.evaluation.metrics import pa_mpjpe
from hamer.geometry.boxes import iou_matrix
from hamer.geometry.cameras import default_camera
from hamer.pipeline.pictures import Picture, read_picture
from hamer.structures import HandBoxes

THRESHOLDS = (0.05, 0.1, 0.15)
AREA_TO = 0.2
"""Where the area under the curve of PCK ends: one threshold can fall between two ways that are hardly apart."""
HEADER = (
    "| way | found | sides | PCK@.05 | PCK@.1 | PCK@.15 | AUC 0-.2 | PA-MPJPE mm | unmatched | s a photo |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


@dataclass
class Photo:
    """A photo with its annotation, what the detector found, and how long it looked."""

    source: str
    picture: Picture
    truth: list[dict[str, Any]]
    found: HandBoxes
    seconds: float


@dataclass
class Tally:
    """Counts of one source of photos (or all), as score_photos.py keeps them."""

    hands: int = 0
    found: int = 0
    sides_known: int = 0
    sides_right: int = 0
    joints: int = 0
    hits: np.ndarray = field(default_factory=lambda: np.zeros(len(THRESHOLDS)))
    area: float = 0.0
    errors: list[float] = field(default_factory=list)
    unmatched: int = 0

    def add(self, other: Tally) -> None:
        """Take the other's counts in."""
        for name in ("hands", "found", "sides_known", "sides_right", "joints", "hits", "area", "errors", "unmatched"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def pck(self) -> np.ndarray:
        """Share of the annotated joints within each threshold; a missed hand's count as misses."""
        return self.hits / max(self.joints, 1)

    @property
    def auc(self) -> float:
        """Area under the curve of PCK over thresholds from 0 to `AREA_TO`; a missed hand's joints count as misses."""
        return self.area / max(self.joints, 1)


def photos_of(path: Path, *, effort: str, cache: Path | None) -> list[Photo]:
    """The photos of an annotation file, searched for hands; `cache`: a folder that keeps what was found."""
    detector: MediapipeDetector | None = None
    photos = []
    for entry in json.loads(path.read_text(encoding="utf-8")):
        picture = read_picture(path.parent / entry["file"])
        kept = None if cache is None else cache / f"{Path(entry['file']).stem}-{effort}-arms.npz"
        if kept is not None and kept.is_file():
            found, seconds = _read(kept)
        else:
            if detector is None:
                detector = MediapipeDetector(effort=effort)  # type: ignore[arg-type]
                detector.warm_up()
            started = time.perf_counter()
            (found,) = detector([picture.rgb])
            seconds = time.perf_counter() - started
            if kept is not None:
                _write(kept, found, seconds)
        photos.append(Photo(entry["dataset"], picture, entry["hands"], found, seconds))
    return photos


def table(photos: Sequence[Photo], ways: Sequence[Way]) -> Iterator[str]:
    """Lines of markdown: every way over all sources, then PCK@0.1 and 3D errors by source."""
    search = sum(p.seconds for p in photos) / len(photos)
    yield f"{len(photos)} photos; the detector takes {search:.2f} s a photo, to which each way's own time is added:"
    yield ""
    yield from HEADER
    by_way: dict[str, dict[str, Tally]] = {}
    for way in ways:
        tallies: dict[str, Tally] = {}
        seconds = 0.0
        for photo in photos:
            camera = photo.picture.camera or default_camera(photo.picture.width, photo.picture.height)
            ((answers,), spent) = way([photo.picture], [camera], [photo.found])
            seconds += spent
            tallies.setdefault(photo.source, Tally()).add(tally(photo.truth, answers))
        by_way[way.title] = tallies
        yield _row(way.title, tallies, seconds / len(photos))
    yield ""
    yield "PCK@0.1 and PA-MPJPE by source:"
    yield ""
    sources = list(next(iter(by_way.values())))
    yield "| way | " + " | ".join(sources) + " |"
    yield "|---" * (len(sources) + 1) + "|"
    for title, tallies in by_way.items():
        yield f"| {title} | " + " | ".join(_brief(tallies[s]) for s in sources) + " |"


def tally(truth: Sequence[dict[str, Any]], answers: Sequence[Answer]) -> Tally:
    """One photo's counts: hands are matched by the boxes around their visible joints, best overlaps first."""
    counts = Tally(hands=len(truth))
    annotated = [None if t["keypoints_2d"] is None else np.asarray(t["keypoints_2d"], float) for t in truth]
    pairs = _pairs(truth, annotated, answers)
    counts.unmatched = len(answers) - len(pairs)
    counts.joints = sum(int((k[:, 2] > 0).sum()) for k in annotated if k is not None)
    for number, answer in pairs.items():
        hand, points = truth[number], annotated[number]
        counts.found += 1
        if hand["is_right"] is not None:
            counts.sides_known += 1
            counts.sides_right += int(answer.is_right == bool(hand["is_right"]))
        if points is not None:
            seen = points[:, 2] > 0
            side = np.ptp(points[seen, :2], axis=0).max()
            far = np.linalg.norm(answer.keypoints_2d[seen] - points[seen, :2], axis=-1) / side
            counts.hits = counts.hits + np.array([(far < t).sum() for t in THRESHOLDS])
            counts.area += float(area(torch.from_numpy(far), limit=AREA_TO).sum())
        if hand["keypoints_3d"] is not None:
            joints = np.asarray(hand["keypoints_3d"], float)
            if (joints[:, 3] > 0).all():
                given = torch.from_numpy(answer.joints.astype(np.float64))
                counts.errors = [*counts.errors, 1000 * float(pa_mpjpe(given, torch.from_numpy(joints[:, :3])))]
    return counts


def _pairs(
    truth: Sequence[dict[str, Any]], annotated: Sequence[np.ndarray | None], answers: Sequence[Answer]
) -> dict[int, Answer]:
    """True hand to answer. A hand with joints is compared by those that are visible, one without by its box."""
    overlaps = np.zeros((len(truth), len(answers)))
    for t, points in enumerate(annotated):
        seen = slice(None) if points is None else points[:, 2] > 0
        box = np.asarray(truth[t]["box"], float) if points is None else _box(points[seen, :2])
        for a, answer in enumerate(answers):
            overlaps[t, a] = iou_matrix(box[None], _box(answer.keypoints_2d[seen])[None])[0, 0]
    pairs: dict[int, Answer] = {}
    taken: set[int] = set()
    for flat in np.argsort(-overlaps, axis=None, kind="stable"):
        t, a = divmod(int(flat), max(len(answers), 1))
        if overlaps[t, a] >= 0.3 and t not in pairs and a not in taken:
            pairs[t] = answers[a]
            taken.add(a)
    return pairs


def _box(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points.min(0), points.max(0)])


def _row(title: str, tallies: dict[str, Tally], seconds: float) -> str:
    total = Tally()
    for counts in tallies.values():
        total.add(counts)
    mean = np.mean([c.pck for c in tallies.values() if c.joints], axis=0)
    mean = [*mean, np.mean([c.auc for c in tallies.values() if c.joints])]
    shares = " | ".join(f"{value:.3f}" for value in mean)
    error = f"{np.mean(total.errors):.1f} ({len(total.errors)})" if total.errors else "-"
    sides = f"{total.sides_right}/{total.sides_known}"
    return (
        f"| {title} | {total.found}/{total.hands} | {sides} | {shares} | {error} | {total.unmatched} | {seconds:.3f} |"
    )


def _brief(counts: Tally) -> str:
    share = f"{counts.pck[1]:.3f}" if counts.joints else "-"
    return share + (f", {np.mean(counts.errors):.1f} mm" if counts.errors else "")


def _write(path: Path, found: HandBoxes, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    blank = np.full((len(found), 21, 3), np.nan)
    arrays = {name: getattr(found, name) for name in ("boxes", "is_right", "scores")}
    arrays |= {n: blank if getattr(found, n) is None else getattr(found, n) for n in ("keypoints_2d", "keypoints_3d")}
    np.savez(path, **arrays, seconds=np.array(seconds))


def _read(path: Path) -> tuple[HandBoxes, float]:
    with np.load(path) as stored:
        names = ("boxes", "is_right", "scores", "keypoints_2d", "keypoints_3d")
        return HandBoxes(*(stored[name] for name in names)), float(stored["seconds"])
