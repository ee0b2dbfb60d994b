"""COCO-WholeBody's annotation file: hands of persons, 2D joints and boxes.

`images` (`id`, `file_name`, `width`, `height`) and `annotations` (`image_id`, for each side `lefthand_kpts` of 63 numbers x,
y, v; `lefthand_box` x, y, width, height; `lefthand_valid`). OneHand10K's manner (`keypoints` of 63 numbers, `bbox`; the side
unknown) is read too, given the side of its hands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
from hamer.datasets.packing.sources import SourceOptions, read_json


def read(path: Path, options: SourceOptions) -> Pictures[int]:
    """The pictures of an annotation file that have a valid hand, by their ids.

    Raises:
        ValueError: `images` or `annotations` is missing.
    """
    return pictures_of(read_json(path), path, options)


def pictures_of(content: Any, path: Path, options: SourceOptions) -> Pictures[int]:
    """The same of an annotation file that has been read: `content` of `path`."""
    require_coco(content, path)
    images = {image["id"]: image for image in content["images"]}
    persons: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in content["annotations"]:
        if any(True for _ in _hands(annotation, options.side)) and not annotation.get("iscrowd"):
            persons[annotation["image_id"]].append(annotation)
    folder = options.img_folder or path.parent

    def make(image_id: int) -> PictureAnnotation:
        if image_id not in images:
            raise ValueError(f"image_id {image_id} of an annotation is not among the images")
        image = images[image_id]
        size = (int(image["width"]), int(image["height"])) if {"width", "height"} <= set(image) else None
        result = PictureAnnotation(folder / image["file_name"], image["file_name"], [], size=size)
        for person in persons[image_id]:
            for number, (is_right, points, box) in enumerate(_hands(person, options.side)):
                try:
                    result.hands.append(_hand(is_right, points, box))
                except ValueError as error:
                    result.faults.append(f"annotation {person.get('id', '?')}, hand {number}: {error}")
        return result

    return Pictures(
        sorted(persons), make, name=lambda i: str(images.get(i, {}).get("file_name", f"image_id {i}")), files=[path]
    )


def require_coco(content: Any, path: Path) -> None:
    """Raises ValueError where the content of `path` is not a dict with the lists that COCO's files have."""
    if not isinstance(content, Mapping) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise ValueError(f"{path} must be a COCO file: a dict with the lists images and annotations")


def _hands(annotation: Mapping[str, Any], side: str | None) -> Iterator[tuple[bool, Any, Any]]:
    """(is right, 63 numbers, box x y w h) of the hands that the annotation calls valid."""
    for name in ("left", "right"):
        if annotation.get(f"{name}hand_valid") and annotation.get(f"{name}hand_kpts"):
            yield name == "right", annotation[f"{name}hand_kpts"], annotation.get(f"{name}hand_box")
    if side is not None and np.size(annotation.get("keypoints", ())) == 63:
        yield side == "right", annotation["keypoints"], annotation.get("bbox")


def _hand(is_right: bool, points: Any, box: Any) -> HandAnnotation:
    rows = np.asarray(points, np.float32)
    if rows.size != 63:
        raise ValueError(f"keypoints must be 63 numbers (21 times x, y, v), got {rows.size}")
    rows = rows.reshape(21, 3).copy()
    rows[:, 2] = rows[:, 2].clip(0, 1)  # COCO's 2 means visible
    corners = None
    if box is not None and np.size(box) == 4 and box[2] > 0 and box[3] > 0:
        corners = np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]], np.float32)
    return HandAnnotation(is_right, corners, rows)
