"""`HandReconstructor`: pictures in, `Reconstruction`s out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hamer.detectors import load as load_detector
from hamer.geometry.cameras import default_camera
from hamer.hand_models import HandModel
from hamer.models.devices import pick_device
from hamer.pipeline.estimators import Estimator, FittingEstimator, NetworkEstimator
from hamer.pipeline.pictures import Picture, pixels_of, read_picture
from hamer.structures import Camera, HandBoxes, Reconstruction

if TYPE_CHECKING:
    from hamer.models.hamer import HAMER
    from hamer.models.precision import Precision

logger = logging.getLogger(__name__)

MAX_BATCH_PIXELS = 100_000_000  # of a batch of pictures: 300 MB of RGB, as eight photos of a phone

Source = str | Path | np.ndarray | Picture
Detector = Callable[..., list[HandBoxes]]


class HandReconstructor:
    """Finds the hands in pictures and reconstructs each in 3D.

    Most callers want `HandReconstructor.from_pretrained()`. The parts can also be put together by hand:

    Args:
        detector: a list of RGB pictures to a list of `HandBoxes` (see `hamer.detectors.load`).
        estimator: found hands to hands in 3D (`FittingEstimator`, `NetworkEstimator` or your own).
        detector_name: what results say of where the boxes came from.
    """

    def __init__(self, detector: Detector, estimator: Estimator, *, detector_name: str = "custom") -> None:
        self.detector = detector
        self.estimator = estimator
        self.detector_name = detector_name
        self._own_landmarker: Any = None

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path | None = None,
        *,
        detector: str | Detector = "mediapipe",
        detector_options: dict[str, Any] | None = None,
        hand_model: str | Path = "open",
        refine: bool = False,
        rescale_factor: float = 2.0,
        batch_size: int = 8,
        device: str = "auto",
        precision: Precision = "float32",
    ) -> HandReconstructor:
        """A reconstructor with the built-in parts, or with your own weights.

        Args:
            weights: None for the built-in way (landmark models, then a fit of the hand model); or a HaMeR checkpoint:
                `hamer.ckpt` with its `model_config.yaml`, or the `.safetensors` that `hamer convert` wrote.
            detector: a name that `hamer.detectors.load` knows, or a callable of the same form.
            detector_options: options of the named detector.
            hand_model: for the built-in way: "open" (shipped), "mano" (your MANO_RIGHT.pkl where `hamer fetch mano` put it), or
                the path of a MANO file. A network uses the MANO that its checkpoint was trained with.
            refine: after a network, fit its result to the detector's keypoints.
            rescale_factor: how much of a hand's surroundings the network sees, times its box.
            batch_size: crops a forward pass of the network.
            device: of the network: "auto" (CUDA, else Apple's GPU, else CPU) or a torch device. The built-in way runs on
                the CPU.
            precision: of the network: "float32" (the reference), "bfloat16", "float16" or "int8"; docs/measurements.md gives
                speed and deviation.

        Raises:
            AssetError: a file that is needed is neither here nor can be fetched.
            WeightsError, UnsafeFileError: a file is not what it should be.
            ValueError: an unknown detector, option, device or precision.
        """
        named = isinstance(detector, str)
        find = load_detector(detector, **(detector_options or {})) if isinstance(detector, str) else detector
        estimator: Estimator
        if weights is None:
            estimator = FittingEstimator(load_hand_model(hand_model))
        else:
            estimator = NetworkEstimator(
                load_network(weights, device, precision),
                rescale_factor=rescale_factor,
                batch_size=batch_size,
                refine=refine,
            )
        return cls(find, estimator, detector_name=str(detector) if named else "custom")

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
        picture = read_picture(image)
        found = self._search([picture])[0] if boxes is None else self._given(picture, boxes, is_right)
        return self._reconstruct([picture], [camera], [found])[0]

    def images(
        self,
        images: Iterable[Source],
        *,
        batch_size: int = 8,
        camera: Camera | Callable[[Picture], Camera | None] | None = None,
        on_error: Callable[[Source, Exception], None] | None = None,
    ) -> Iterator[Reconstruction]:
        """Stream the reconstructions of many pictures, in order; the next pictures are read meanwhile.

        Args:
            images: paths or arrays.
            batch_size: pictures that are worked on together, fewer where they are large: two batches of at most 100
                megapixels (or of one picture) are in memory.
            camera: one camera for all, or a function of the picture, or None as in `__call__`.
            on_error: called with the source and its error for a picture that fails, which is then left out; None raises.
        """
        camera_of = camera if callable(camera) else lambda _picture: camera
        for sources, pictures in _read_ahead(images, batch_size, on_error):
            try:
                cameras = [camera_of(p) for p in pictures]
                yield from self._reconstruct(pictures, cameras, self._search(pictures))
            except Exception as error:
                if on_error is None:
                    raise
                if len(pictures) == 1:
                    on_error(sources[0], error)
                    continue
                logger.warning("a batch of %d pictures failed (%s); trying them one by one", len(pictures), error)
                yield from self.images(pictures, batch_size=1, camera=camera, on_error=_named(on_error))

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
        if isinstance(self.estimator, NetworkEstimator) and sides is not None and not self.estimator.refine:
            return HandBoxes(boxes, sides, np.ones(len(boxes)))
        return self._landmarker().landmarks_in_boxes(picture.rgb, boxes, sides)

    def _landmarker(self) -> Any:
        """Something that finds joints in given boxes: the detector itself if it can, else the landmark model."""
        if hasattr(self.detector, "landmarks_in_boxes"):
            return self.detector
        if self._own_landmarker is None:
            self._own_landmarker = load_detector("mediapipe")
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
                notes=_notes(len(f), len(h)),
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


def load_hand_model(which: str | Path = "open") -> HandModel:
    """A hand model by name ("open", "mano") or by the path of a MANO file."""
    from hamer.assets import require_original
    from hamer.checkpoints.hand_files import load_open_hand, read_mano

    if str(which) == "open":
        return HandModel(load_open_hand())
    return HandModel(read_mano(require_original("mano") if str(which) == "mano" else Path(which)))


def load_network(weights: str | Path, device: str = "auto", precision: Precision = "float32") -> HAMER:
    """A HAMER network from a checkpoint, on its device, in evaluation mode."""
    from hamer.models import load_hamer

    network, _config = load_hamer(weights, device=pick_device(device), precision=precision)
    return network


def _named(on_error: Callable[[Source, Exception], None]) -> Callable[[Source, Exception], None]:
    """`on_error` that is told the path of a picture already read."""

    def tell(source: Source, error: Exception) -> None:
        on_error(source.path if isinstance(source, Picture) and source.path else source, error)

    return tell


def _read_ahead(
    images: Iterable[Source], batch_size: int, on_error: Callable[[Source, Exception], None] | None
) -> Iterator[tuple[list[Source], list[Picture]]]:
    """Batches of pictures, read in threads one batch ahead; unreadable ones go to `on_error`.

    A batch ends after `batch_size` pictures or before the one with which it would exceed MAX_BATCH_PIXELS.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    batches = _batches(images, batch_size)
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="hamer-read") as pool:

        def submit() -> list[tuple[Source, Future[Picture]]]:
            return [(s, pool.submit(read_picture, s)) for s in next(batches, [])]

        pending = submit()
        while pending:
            following = submit()
            kept: list[tuple[Source, Picture]] = []
            for source, future in pending:
                try:
                    kept.append((source, future.result()))
                except Exception as error:
                    if on_error is None:
                        raise
                    on_error(source, error)
            if kept:
                yield [s for s, _ in kept], [p for _, p in kept]
            pending = following


def _batches(images: Iterable[Source], batch_size: int) -> Iterator[list[Source]]:
    batch: list[Source] = []
    total = 0
    for source in images:
        pixels = pixels_of(source)
        if batch and total + pixels > MAX_BATCH_PIXELS:
            yield batch
            batch, total = [], 0
        batch.append(source)
        total += pixels
        if len(batch) == batch_size:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
