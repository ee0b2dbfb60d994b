"""Annotated hands on their way from a tar to an item: light until they are wanted, a picture decoded once for all its hands.

A shuffle buffer holds thousands of hands. Here a waiting hand is its annotation and the encoded picture that it shares;
the original's buffer holds finished float images, a megabyte each. When the first hand of a picture leaves the buffer, the
patches of all its hands are cut, as grey levels, and the pixels are let go.
"""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import cv2
import numpy as np

from hamer.checkpoints.unpickling import load_pickle
from hamer.crops.augmentation import Augmentation
from hamer.crops.coarse import Coarseness
from hamer.datasets import patch_pixels
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.example import ExamplePlan
from hamer.datasets.extra_labels import PARTS_MEMBER, ExtraLabelError, extra_labels, read_parts
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.tar_filters import AnnotationFilters
from hamer.datasets.tar_items import plan_tar_item, tar_labels, view_of
from hamer.datasets.tar_reading import ANNOTATION, MASKS, TarSample
from hamer.errors import PictureError, UnsafeFileError

MAX_MASK_BYTES = 2**28

SHAPES = {
    "keypoints_2d": (21, 3),
    "keypoints_3d": (21, 4),
    "center": (2,),
    "scale": (2,),
    "hand_pose": (48,),
    "betas": (10,),
    "right": (),
    "has_hand_pose": (),
    "has_betas": (),
}
"""What an annotation must hold."""


class Cutter(Protocol):
    """What becomes of a hand's pixels while the picture is decoded: something small that `finish` makes an item of."""

    settings: CropSettings

    def cut(self, picture: np.ndarray, mask: np.ndarray | None, plan: ExamplePlan) -> Any:
        """Pixels kept of a BGR picture (H, W, 3) and its mask (H, W) or None."""

    def finish(self, pixels: Any, plan: ExamplePlan) -> dict[str, Any]:
        """The item's pixel fields."""


class PatchCutter:
    """The exact path: the patch is warped here and the item holds `img` and `mask` as the original's does."""

    def __init__(self, settings: CropSettings) -> None:
        self.settings = settings

    def cut(self, picture: np.ndarray, mask: np.ndarray | None, plan: ExamplePlan) -> Any:
        """The patch (S, S, 4), BGR and mask, in grey levels."""
        return patch_pixels.cut_patch(picture, mask, plan, self.settings)

    def finish(self, pixels: Any, plan: ExamplePlan) -> dict[str, Any]:
        """`img` (3, S, S) and `mask` (S, S), float32."""
        img, mask = patch_pixels.network_input(pixels, plan, self.settings, is_bgr=True)
        return {"img": img, "mask": mask}


class Picture:
    """An encoded picture and the hands that still wait for it."""

    def __init__(self, sample: TarSample, skipped: SkipCounts) -> None:
        self.key, self.url = sample.key, sample.url
        self._encoded, self._masks = sample.picture, sample.members.get(MASKS)
        self._parts = sample.members.get(PARTS_MEMBER)
        self._skipped = skipped
        self.hands: list[Hand] = []

    def cut(self, cutter: Cutter) -> None:
        """Decode, cut what every waiting hand needs, let the pixels go."""
        waiting, self.hands = self.hands, []
        try:
            picture = decode(self._encoded or b"")
            masks = read_masks(self._masks, picture.shape[:2])
            parts = read_parts(self._parts, picture.shape[:2]) if cutter.settings.parts else None
        except PictureError as error:
            self._skipped.add("unreadable picture", self._place, error)
            return
        except ExtraLabelError as error:
            self._skipped.add("wrong annotation", self._place, error)
            return
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            self._skipped.add("unreadable mask", self._place, error)
            return
        for hand in waiting:
            try:
                mask = None if masks is None else masks[hand.mask_index]
                hand.cut(picture, mask, cutter, parts if hand.is_first else None)
            except ExtraLabelError as error:
                self._skipped.add("wrong annotation", self._place, error)
            except (ValueError, IndexError, cv2.error) as error:
                self._skipped.add("no usable crop", self._place, error)
        self._encoded = self._masks = self._parts = None

    @property
    def _place(self) -> str:
        return f"{self.key} of {self.url}"


class Hand:
    """One annotated hand; `seed` decides its augmentation, whenever it is cut; `is_first` of its picture's annotations."""

    __slots__ = ("_cut", "_extra", "_plan", "_shape", "annotation", "is_first", "mask_index", "picture", "seed")

    def __init__(
        self, picture: Picture, annotation: dict[str, Any], mask_index: int, seed: int, *, is_first: bool = True
    ) -> None:
        self.picture, self.annotation, self.mask_index, self.seed = picture, annotation, mask_index, seed
        self.is_first = is_first
        self._extra: dict[str, Any] = {}
        self._plan: ExamplePlan | None = None
        self._cut: Any = None
        self._shape = (0, 0)
        picture.hands.append(self)

    def item(self, cutter: Cutter) -> dict[str, Any] | None:
        """The hand as a training item, or None where its picture cannot be used (which is counted)."""
        if self._plan is None and self in self.picture.hands:
            self.picture.cut(cutter)
        if self._plan is None:
            return None
        labels = tar_labels(self.annotation, self._plan, self._shape, cutter.settings, self.picture.key)
        return {**cutter.finish(self._cut, self._plan), **labels, **self._extra, "__key__": self.picture.key}

    def drop(self) -> None:
        """Take the hand off its picture: it was seen before."""
        if self in self.picture.hands:
            self.picture.hands.remove(self)

    def cut(
        self, picture: np.ndarray, mask: np.ndarray | None, cutter: Cutter, parts: np.ndarray | None = None
    ) -> None:
        """Keep what the item needs of a decoded picture (H, W, 3), its mask and its part labels (H, W)."""
        rng = random.Random(self.seed)
        augment = cutter.settings.augment
        change = Augmentation() if augment is None else Augmentation.sample(augment, rng)
        coarseness = None if augment is None else Coarseness.sample(augment, rng)
        change = change if coarseness is None else coarseness.moved(change)
        self._shape = (picture.shape[0], picture.shape[1])
        view = None
        if cutter.settings.upright is not None:
            off = cutter.settings.upright.sample(rng)
            view = None if off is None else view_of(self.annotation, self._shape, off)
        plan = plan_tar_item(self.annotation, picture.shape[1], cutter.settings, change, rng, view)
        plan = replace(plan, coarseness=coarseness)
        self._extra = extra_labels(self.annotation, parts, plan, self._shape, cutter.settings)
        self._cut = cutter.cut(picture, mask, plan)
        self._plan = plan


def decode(encoded: bytes) -> np.ndarray:
    """A jpg or png as BGR uint8 (H, W, 3), as it is stored (EXIF's rotation ignored, as the original does)."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None
    except cv2.error as error:
        raise PictureError(f"OpenCV cannot decode it: {error}") from error
    if picture is None:
        raise PictureError(f"not a complete jpg or png ({len(encoded)} bytes)")
    return picture


def read_masks(encoded: bytes | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """`masks` (D, H, W) of a detection.npz for a picture of `shape` H, W; None where there is no file."""
    if encoded is None:
        return None
    with zipfile.ZipFile(io.BytesIO(encoded)) as archive:
        size = archive.getinfo("masks.npy").file_size
        if size > MAX_MASK_BYTES:
            raise ValueError(f"masks claim {size} bytes")
    with np.load(io.BytesIO(encoded)) as arrays:
        masks = arrays["masks"]
    if masks.ndim != 3 or masks.shape[1:] != tuple(shape[:2]):
        raise ValueError(f"masks must have shape (detections, {shape[0]}, {shape[1]}), got {masks.shape}")
    return masks


def hands_of_sample(
    sample: TarSample, filters: AnnotationFilters, skipped: SkipCounts, draw: Callable[[], int]
) -> list[Hand]:
    """The hands of one tar sample that the filters keep; nothing is decoded yet. `draw` gives seeds."""
    place = f"{sample.key} of {sample.url}"
    annotations = _annotations(sample, skipped, place)
    picture, hands = Picture(sample, skipped), []
    for number, annotation in enumerate(annotations):
        seed = draw()
        try:
            check_annotation(annotation)
            mask_index = mask_of(annotation) if MASKS in sample.members else 0
            kept = filters.apply(annotation)
        except (ValueError, KeyError, TypeError) as error:
            skipped.add("wrong annotation", place, error)
            continue
        if kept is not None:
            hands.append(Hand(picture, kept, mask_index, seed, is_first=number == 0))
    return hands


def _annotations(sample: TarSample, skipped: SkipCounts, place: str) -> Sequence[Any]:
    if sample.picture is None or ANNOTATION not in sample.members:
        missing = ANNOTATION if sample.picture is not None else "picture"
        skipped.add("incomplete sample", place, f"no {missing}; it has {sorted(sample.members)}")
        return []
    try:
        annotations = load_pickle(sample.members[ANNOTATION])
    except UnsafeFileError as error:
        skipped.add("unsafe annotation", place, error)
        return []
    except ValueError as error:
        skipped.add("unreadable annotation", place, error)
        return []
    if not isinstance(annotations, (list, tuple)):
        skipped.add("wrong annotation", place, f"expected a list of hands, got {type(annotations).__name__}")
        return []
    return annotations


def check_annotation(annotation: Any) -> None:
    """A ValueError that says what an annotation lacks."""
    if not isinstance(annotation, dict):
        raise ValueError(f"a hand must be a dict, got {type(annotation).__name__}")
    for name, shape in SHAPES.items():
        if name not in annotation:
            raise ValueError(f"no {name}")
        value = np.asarray(annotation[name])
        if value.shape != shape or value.dtype.kind not in "fiub":
            raise ValueError(f"{name} must be numbers of shape {shape}, got {value.dtype} {value.shape}")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"{name} must be finite")


def mask_of(annotation: dict[str, Any]) -> int:
    """Which of the detection.npz's masks belongs to a hand."""
    index = int(annotation["extra_info"]["detection_npz_idx"])
    if index < 0:
        raise ValueError(f"extra_info.detection_npz_idx must be 0 or more, got {index}")
    return index
