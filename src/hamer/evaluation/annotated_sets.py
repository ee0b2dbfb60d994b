"""Pictures with annotated hands in one form, from an evaluation file (npz) or a list of photos (json)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.conversion.truth import read_truth
from hamer.datasets.image_dataset import ImageDataset
from hamer.errors import HamerError
from hamer.geometry.boxes import boxes_from_keypoints
from hamer.structures import Camera


class AnnotationError(HamerError, ValueError):
    """A list of annotated photos that cannot be used."""


@dataclass
class AnnotatedSet:
    """N hands in P pictures.

    Attributes:
        name: of the set.
        pictures: P paths.
        picture_of: (N,) which picture each hand is in.
        ids: (N,) names of the hands that stay the same from run to run.
        boxes: (N, 4) xyxy px, as annotated: what an estimator is given.
        match_boxes: (N, 4) what a found hand is compared with: around the visible joints, where these are all of the
            hand's, else the annotated box.
        box_size: (N,) px, the unit of 2D errors: the annotated box's longer side, in lists of photos that of the box around
            the visible joints where there are any.
        is_right: (N,) bool; side_known: (N,) bool, False where `is_right` is a guess.
        keypoints_2d: (N, 21, 3) x, y px, confidence. keypoints_3d: (N, 21, 4) m, camera frame, 1 where known.
        vertices: (N, V, 3) m, camera frame, or None.
        cameras: P, None where not known.
        groups: (N,) where the picture comes from, for tables; empty texts if nobody says.
    """

    name: str
    pictures: list[Path]
    picture_of: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    match_boxes: np.ndarray
    box_size: np.ndarray
    is_right: np.ndarray
    side_known: np.ndarray
    keypoints_2d: np.ndarray
    keypoints_3d: np.ndarray
    vertices: np.ndarray | None
    cameras: list[Camera | None]
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def hands_of(self, picture: int) -> np.ndarray:
        """Rows of the hands of a picture."""
        return np.flatnonzero(self.picture_of == picture)

    def first(self, pictures: int) -> AnnotatedSet:
        """The set cut down to its first pictures."""
        rows = self.picture_of < pictures
        changed: dict[str, Any] = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, **changed, pictures=self.pictures[:pictures], cameras=self.cameras[:pictures])


def camera_of(numbers: np.ndarray) -> Camera:
    """A camera from fx, fy, cx, cy."""
    fx, fy, cx, cy = (float(v) for v in numbers)
    return Camera(fx, fy, cx, cy)


def hand_ids(names: list[str]) -> np.ndarray:
    """`picture#number` for the picture of each hand."""
    seen: Counter[str] = Counter()
    ids = []
    for name in names:
        ids.append(f"{name}#{seen[name]}")
        seen[name] += 1
    return np.array(ids, np.str_)


def read_npz_set(name: str, dataset: ImageDataset, dataset_file: str | Path) -> AnnotatedSet:
    """The hands of an evaluation file, as `ImageDataset` read it, with what `hamer data convert` adds."""
    truth = read_truth(dataset_file)
    files = list(dict.fromkeys(dataset.imgname))
    number = {file: i for i, file in enumerate(files)}
    picture_of = np.array([number[file] for file in dataset.imgname], np.int64)
    sides = dataset.scale * 200
    boxes = np.concatenate([dataset.center - sides / 2, dataset.center + sides / 2], -1)
    cameras: list[Camera | None] = [None] * len(files)
    if truth.camera is not None:
        for row, picture in enumerate(picture_of):
            if np.isfinite(truth.camera[row]).all():
                cameras[picture] = camera_of(truth.camera[row])
    count = len(dataset)
    return AnnotatedSet(
        name=name,
        pictures=[Path(dataset.img_dir) / file for file in files],
        picture_of=picture_of,
        ids=hand_ids(list(dataset.imgname)),
        boxes=boxes,
        match_boxes=boxes,
        box_size=sides.max(-1),
        is_right=dataset.right > 0.5,
        side_known=np.full(count, truth.side_known),
        keypoints_2d=dataset.keypoints_2d.astype(np.float64),
        keypoints_3d=dataset.keypoints_3d.astype(np.float64),
        vertices=truth.vertices,
        cameras=cameras,
        groups=np.full(count, "", np.str_),
    )


def read_photos(path: str | Path) -> AnnotatedSet:
    """Annotated photos: a json list of `{"file", "hands": [{"box", "is_right", "keypoints_2d", "keypoints_3d"}]}`.

    `file` is relative to the list's folder. Of a hand, `box` [x0, y0, x1, y1] px or `keypoints_2d` 21 x [x, y, visible] px must
    be there; `keypoints_3d` 21 x [x, y, z, valid] is metres in the camera frame, of the hand as it is; `is_right` 1, 0 or null.
    A photo may have `dataset` (its source, for tables) and `intrinsics` {"focal": [fx, fy], "princpt": [cx, cy]}.

    Raises AnnotationError (names the photo, the hand and the field), OSError.
    """
    path = Path(path)
    photos = _json(path)
    rows: list[dict[str, Any]] = []
    cameras: list[Camera | None] = []
    listed: set[Path] = set()
    for index, photo in enumerate(photos):
        where = f"{path}, photo {index}"
        if not isinstance(photo, Mapping) or not isinstance(photo.get("file"), str):
            raise AnnotationError(f'{where} must be an object with "file", got {photo!r:.80}')
        where = f"{path}: {photo['file']}"
        if path.parent / photo["file"] in listed:
            raise AnnotationError(f"{where} is listed twice: put all hands of a photo into one entry")
        listed.add(path.parent / photo["file"])
        cameras.append(_camera(photo.get("intrinsics"), where))
        hands = photo.get("hands", [])
        if not isinstance(hands, list):
            raise AnnotationError(f"{where}: hands must be a list, got {type(hands).__name__}")
        for number, hand in enumerate(hands):
            row = _hand(hand, f"{where}, hand {number}")
            rows.append({**row, "picture": index, "group": str(photo.get("dataset", ""))})
    if not rows:
        raise AnnotationError(f"{path} must hold annotated hands, and there is none")
    columns = {key: np.stack([np.asarray(row[key]) for row in rows]) for key in rows[0]}
    names = [str(photos[row["picture"]]["file"]) for row in rows]
    return AnnotatedSet(
        name=path.stem if path.stem != "photos" else (path.resolve().parent.name or "photos"),
        pictures=[path.parent / photo["file"] for photo in photos],
        picture_of=columns["picture"].astype(np.int64),
        ids=hand_ids(names),
        boxes=columns["box"],
        match_boxes=columns["match_box"],
        box_size=columns["box_size"],
        is_right=columns["is_right"],
        side_known=columns["side_known"],
        keypoints_2d=columns["keypoints_2d"],
        keypoints_3d=columns["keypoints_3d"],
        vertices=None,
        cameras=cameras,
        groups=columns["group"].astype(np.str_),
    )


def _json(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path} must be a json list of photos, and is no json: {error}") from error
    if not isinstance(content, list):
        raise AnnotationError(f"{path} must be a json list of photos, got a {type(content).__name__}")
    return content


def _camera(intrinsics: Any, where: str) -> Camera | None:
    if intrinsics is None:
        return None
    try:
        (fx, fy), (cx, cy) = intrinsics["focal"], intrinsics["princpt"]
        return Camera(float(fx), float(fy), float(cx), float(cy))
    except (TypeError, KeyError, ValueError) as error:
        raise AnnotationError(
            f'{where}: intrinsics must be {{"focal": [fx, fy], "princpt": [cx, cy]}} or null ({error})'
        ) from error


def _hand(hand: Any, where: str) -> dict[str, Any]:
    if not isinstance(hand, Mapping):
        raise AnnotationError(f"{where} must be an object, got {type(hand).__name__}")
    points_2d = _points(hand.get("keypoints_2d"), (21, 3), f"{where}: keypoints_2d")
    points_3d = _points(hand.get("keypoints_3d"), (21, 4), f"{where}: keypoints_3d")
    seen = (points_2d[:, 2] > 0).sum()
    box = hand.get("box")
    if box is None and seen < 2:
        raise AnnotationError(f"{where} must have a box, or two visible keypoints to draw one around")
    tight = boxes_from_keypoints(points_2d) if seen >= 2 else None
    annotated = tight if box is None else _points(box, (4,), f"{where}: box")
    unit = annotated if tight is None else tight
    match = unit if seen == 21 or box is None else annotated
    if annotated is None or unit is None or match is None or not (annotated[2:] > annotated[:2]).all():
        raise AnnotationError(f"{where}: box must be [x0, y0, x1, y1] with x1 > x0 and y1 > y0, got {box}")
    side = hand.get("is_right")
    if side not in (0, 1, None):
        raise AnnotationError(f"{where}: is_right must be 1, 0 or null, got {side!r}")
    return {
        "box": annotated, "match_box": match, "box_size": (unit[2:] - unit[:2]).max(),
        "keypoints_2d": points_2d, "keypoints_3d": points_3d,
        "is_right": True if side is None else bool(side), "side_known": side is not None,
    }  # fmt: skip


def _points(value: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Numbers of a shape; zeros where there is no value."""
    if value is None:
        return np.zeros(shape)
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(f"{where} must be numbers of shape {shape}: {error}") from error
    if array.shape != shape or not np.isfinite(array).all():
        raise AnnotationError(f"{where} must be finite numbers of shape {shape}, got shape {array.shape}")
    return array
