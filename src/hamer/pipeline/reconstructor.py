"""`HandReconstructor`: pictures in, `Reconstruction`s out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hamer.detectors import BODY_DETECTORS, load_hands
from hamer.detectors.stages import Stage
from hamer.errors import AssetError, MissingExtraError
from hamer.geometry.cameras import default_camera
from hamer.pipeline.batches import OnError, Source, in_batches
from hamer.pipeline.building import build_estimator, check_network, load_hand_model, settled, weights_file
from hamer.pipeline.estimators import Estimator
from hamer.pipeline.network_estimator import NetworkEstimator
from hamer.pipeline.pictures import Picture, read_picture
from hamer.pipeline.stages import OnStage, groups, search_in_stages
from hamer.structures import Camera, HandBoxes, Reconstruction

if TYPE_CHECKING:
    from hamer.models.precision import Precision

__all__ = ["HandReconstructor", "load_hand_model"]

logger = logging.getLogger(__name__)

Detector = Callable[..., list[HandBoxes]]


class HandReconstructor:
    """Finds the hands in pictures and reconstructs each in 3D.

    Most callers want `HandReconstructor.from_pretrained()`. The parts can also be put together by hand:

    Args:
        detector: a list of RGB pictures to a list of `HandBoxes` (see `hamer.detectors.load_hands`).
        estimator: found hands to hands in 3D (`FittingEstimator`, `NetworkEstimator` or your own).
        detector_name: what results say of where the boxes came from.
        low_memory: keep one network in memory at a time; see `from_pretrained`.
    """

    def __init__(
        self, detector: Detector, estimator: Estimator, *, detector_name: str = "custom", low_memory: bool = False
    ) -> None:
        self.detector = detector
        self.estimator = estimator
        self.detector_name = detector_name
        self.low_memory = low_memory
        self._own_landmarker: Any = None

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path | None = None,
        *,
        detector: str | Detector = "mediapipe",
        detector_options: dict[str, Any] | None = None,
        hand_model: str | Path = "open",
        refine: bool | None = None,
        rescale_factor: float | None = None,
        batch_size: int = 8,
        device: str = "auto",
        precision: Precision = "float32",
        low_memory: bool = False,
    ) -> HandReconstructor:
        """A reconstructor with the built-in parts, or with your own weights.

        Args:
            weights: None for the built-in way: the network that comes with the package, refined by the detector's keypoints
                ("built-in" insists on it; without its file, as "fit"). "fit": landmark models, then a fit of the hand
                model, without a network. Or a HaMeR checkpoint: `hamer.ckpt` with its `model_config.yaml`, or the
                `.safetensors` that `hamer convert` wrote.
            detector: a name that `hamer.detectors.load_hands` knows ("mediapipe", "vitdet", "regnety", "boxes"), or a callable
                of the same form.
            detector_options: options of the named detector.
            hand_model: for the built-in way and "fit": "open" (shipped), "mano" (your MANO_RIGHT.pkl where `hamer fetch mano`
                put it), or the path of a MANO file. The built-in network was trained with the open hand: for another one
                its rotations are carried over and the shape comes from the keypoints. A checkpoint of yours uses the hand
                that it was trained with.
            refine: after a network, fit its result to the detector's keypoints where it gives them; None: yes for the
                built-in network, no for a checkpoint.
            rescale_factor: how much of a hand's surroundings the network sees, times its box; None: as it was trained (the
                published network: 2.0).
            batch_size: crops a forward pass of the network.
            device: of the network, and of a body detector's networks: "auto" (CUDA, else Apple's GPU, else CPU) or a torch
                device. Fits run on the CPU.
            precision: of the network: "float32" (the reference), "bfloat16", "float16" or "int8"; docs/measurements.md gives
                speed and deviation. A body detector's networks stay float32 unless `detector_options` says otherwise.
            low_memory: with a body detector, load each network when its turn comes and release it before the next: up to
                256 pictures pass one stage before the next begins. The results are the same. Other detectors are small.

        Raises:
            AssetError: a file that is needed is neither here nor can be fetched.
            WeightsError, UnsafeFileError: a file is not what it should be.
            ValueError: an unknown detector, option, device or precision.
        """
        if isinstance(detector, str):
            options = detector_options or {}
            find = load_hands(detector, **({"device": device, **options} if detector in BODY_DETECTORS else options))
            name = detector
        else:
            find, name = detector, "custom"
        way = settled(weights)
        estimator = build_estimator(
            way, hand_model=hand_model, refine=refine, rescale_factor=rescale_factor, batch_size=batch_size, device=device,
            precision=precision,
        )  # fmt: skip
        if low_memory and hasattr(find, "stages"):  # what is missing is told now, not after the stages before
            file = weights_file(way)
            if file is not None:
                check_network(file)
        else:  # what is missing or wrong is told before any picture is looked at
            for part in (find, estimator):
                if hasattr(part, "load"):
                    part.load()
        return cls(find, estimator, detector_name=name, low_memory=low_memory)

    def __call__(
        self,
        image: Source,
        *,
        boxes: Any = None,
        is_right: Any = None,
        camera: Camera | None = None,
    ) -> Reconstruction:
        """The hands of one picture.

        Args:
            image: a path, or an upright RGB array (H, W, 3) uint8.
            boxes: (N, 4) xyxy px of hands that you know; None to search.
            is_right: (N,) for `boxes`: True right, False left; None lets the landmark model say.
            camera: intrinsics of the picture; None takes them from EXIF, else assumes a focal length of one picture
                diagonal (CLIFF, Li et al. 2022), so that depth is plausible.

        Raises:
            PictureError: the picture cannot be read.
            ValueError: the boxes have another shape or lie outside the picture, or `is_right` does not fit them.
        """
        if boxes is None and is_right is not None:
            raise ValueError("is_right goes with boxes, one entry a box; got it without boxes")
        if boxes is None:
            return next(self.images([image], camera=camera))
        picture = read_picture(image)
        try:
            return self._reconstruct([picture], [camera], [self._given(picture, boxes, is_right)])[0]
        finally:
            if self._in_stages:  # the search of the next picture would find it still loaded
                self._release_estimator()

    def images(
        self,
        images: Iterable[Source],
        *,
        batch_size: int = 8,
        camera: Camera | Callable[[Picture], Camera | None] | None = None,
        on_error: OnError | None = None,
        on_stage: OnStage | None = None,
    ) -> Iterator[Reconstruction]:
        """Stream the reconstructions of many pictures, in order; the next pictures are read meanwhile.

        Args:
            images: paths or arrays.
            batch_size: pictures that are worked on together, fewer where they are large: two batches of at most 100
                megapixels (or of one picture) are in memory.
            camera: one camera for all, or a function of the picture, or None as in `__call__`.
            on_error: called with the source and its error for a picture that fails, which is then left out; None raises.
            on_stage: told the progress of the search where `low_memory` lets it run ahead of the results.
        """
        camera_of = camera if callable(camera) else lambda _picture: camera

        def whole(_positions: Sequence[int], pictures: Sequence[Picture]) -> list[Reconstruction]:
            return self._reconstruct(pictures, [camera_of(p) for p in pictures], self._search(pictures))

        if self._in_stages:
            yield from self._images_in_stages(images, batch_size, camera_of, on_error, on_stage)
        else:
            for _, result in in_batches(images, whole, batch_size=batch_size, on_error=on_error):
                yield result

    def _images_in_stages(
        self,
        images: Iterable[Source],
        batch_size: int,
        camera_of: Callable[[Picture], Camera | None],
        on_error: OnError | None,
        on_stage: OnStage | None,
    ) -> Iterator[Reconstruction]:
        stages: Sequence[Stage] = self.detector.stages  # type: ignore[attr-defined]
        for group in groups(images):
            found = search_in_stages(stages, group, batch_size=batch_size, on_error=on_error, on_stage=on_stage)
            if not found:
                continue
            hands = list(found.values())

            def estimate(
                positions: Sequence[int], pictures: Sequence[Picture], hands: list[HandBoxes] = hands
            ) -> list[Reconstruction]:
                return self._reconstruct(pictures, [camera_of(p) for p in pictures], [hands[i] for i in positions])

            if hasattr(self.estimator, "load"):
                self.estimator.load()
            try:
                searched = [group[position] for position in found]
                for _, result in in_batches(searched, estimate, batch_size=batch_size, on_error=on_error):
                    yield result
            finally:
                self._release_estimator()

    @property
    def _in_stages(self) -> bool:
        return self.low_memory and hasattr(self.detector, "stages")

    def _release_estimator(self) -> None:
        if hasattr(self.estimator, "release"):
            self.estimator.release()

    def _search(self, pictures: Sequence[Picture]) -> list[HandBoxes]:
        images = [p.rgb for p in pictures]
        if getattr(self.detector, "needs_names", False):  # boxes of the caller are looked up by the pictures' names
            return self.detector(images, names=[p.path or "image" for p in pictures])
        return self.detector(images)

    def _given(self, picture: Picture, boxes: Any, is_right: Any) -> HandBoxes:
        """`HandBoxes` for boxes of the caller, with landmarks where the estimator cannot do without."""
        boxes = np.asarray(boxes, dtype=np.float32)
        boxes = boxes.reshape(-1, 4) if boxes.size in (0, 4) else boxes
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
            raise ValueError(f"boxes must be finite pixels (N, 4) xyxy, got {boxes.tolist()}")
        size = (picture.width, picture.height)
        if (boxes[:, 2:] <= boxes[:, :2]).any() or (boxes[:, 2:] <= 0).any() or (boxes[:, :2] >= size).any():
            raise ValueError(
                f"boxes must be x0, y0, x1, y1 with x1 > x0 and y1 > y0, and overlap the picture of {size[0]} x {size[1]} px, "
                f"got {boxes.tolist()}"
            )
        sides = None if is_right is None else _sides(is_right)
        if sides is not None and len(sides) != len(boxes):
            raise ValueError(f"is_right must have one entry a box ({len(boxes)}), got {len(sides)}")
        without = None  # what a network can do without landmarks
        if isinstance(self.estimator, NetworkEstimator) and sides is not None:
            without = HandBoxes(boxes, sides, np.ones(len(boxes)))
            if not self.estimator.uses_landmarks:
                return without
        try:
            return self._landmarker().landmarks_in_boxes(picture.rgb, boxes, sides)
        except (AssetError, MissingExtraError) as error:
            if without is None:
                raise
            logger.warning("hands in the given boxes are estimated without landmarks: %s", error)
            return without

    def _landmarker(self) -> Any:
        """Something that finds joints in given boxes: the detector itself if it can, else the landmark model."""
        if hasattr(self.detector, "landmarks_in_boxes"):
            return self.detector
        if self._own_landmarker is None:
            self._own_landmarker = load_hands("mediapipe", bodies=False)
        return self._own_landmarker

    def _reconstruct(
        self, pictures: Sequence[Picture], cameras: Sequence[Camera | None], found: Sequence[HandBoxes]
    ) -> list[Reconstruction]:
        known = [c or p.camera or default_camera(p.width, p.height) for c, p in zip(cameras, pictures, strict=True)]
        hands = self.estimator(pictures, known, found)
        model = self.estimator.hand_model
        faces = model.arrays.closed_faces
        return [
            Reconstruction(
                hands=h, camera=c, width=p.width, height=p.height, faces=faces, hand_model=model.name,
                model=self.estimator.name, detector=self.detector_name, path=p.path, image=p.rgb,
                notes=[*f.notes, *_notes(len(f), len(h))],
            )
            for h, c, p, f in zip(hands, known, pictures, found, strict=True)
        ]  # fmt: skip


def _sides(is_right: Any) -> np.ndarray:
    """(N,) bool; a word or None would silently count as true or false."""
    sides = np.asarray(is_right).reshape(-1)
    if sides.size and not (sides.dtype.kind in "buif" and np.isin(sides, (0, 1)).all()):
        raise ValueError(f"is_right must hold True (right) or False (left), got {is_right!r}; None lets the model say")
    return sides.astype(bool)


def _notes(found: int, estimated: int) -> list[str]:
    if estimated == found:
        return []
    return [f"{found - estimated} of {found} hands found could not be estimated and were left out"]
