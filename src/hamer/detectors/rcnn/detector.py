"""What both person detectors are as users meet them: weights found and loaded when needed, pictures in, detections out."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hamer.detectors.pictures import check_pictures
from hamer.detectors.rcnn.network import TwoStageNetwork
from hamer.detectors.rcnn.pictures import PictureRule, alike, prepare, to_photo
from hamer.detectors.rcnn.selection import SelectionRule
from hamer.detectors.rcnn.weights import DetectorName, load_network
from hamer.detectors.weights_files import weights_file
from hamer.models.devices import exact_float32, free_memory, pick_device, torch_threads
from hamer.models.precision import Precision, recommended_precision
from hamer.structures import Detections

logger = logging.getLogger(__name__)


class TwoStageDetector(ABC):
    """Finds the things of COCO's 80 classes; a subclass says which network, and how it wants its pictures.

    Args:
        weights: the zoo's `.pkl`, or the same tensors as `.pth` or `.safetensors`; None takes the original's file where it
            is present (`hamer.assets.require_original`).
        device: "auto" or a torch device.
        precision: arithmetic of the network, one of `precisions`, or "auto" for what suits the device; "float32" is the
            reference. float16 is for GPUs.
        score_threshold: detections score above it (strictly); None for the original's.
        batch_size: pictures a pass through the network; bounds the memory. Only pictures that get the same padded size
            share a pass, so that a result does not depend on the pictures beside it.
        threads: CPU threads of torch while this runs; None leaves its own choice.

    The weights are loaded by the first call, or by `load`.

    Raises:
        ValueError: an unknown precision, or a number out of range. AssetError: the weights are nowhere (when they are
            loaded).
    """

    name: ClassVar[DetectorName]
    pictures: PictureRule
    selection: ClassVar[SelectionRule]
    precisions: ClassVar[tuple[Precision, ...]]

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        device: str | torch.device = "auto",
        precision: Precision = "float32",
        score_threshold: float | None = None,
        batch_size: int = 1,
        threads: int | None = None,
    ) -> None:
        if precision not in ("auto", *self.precisions):
            known = ", ".join(("auto", *self.precisions))
            raise ValueError(f"precision of {self.name} must be one of {known}, got {precision!r}")
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold must lie in 0 to 1, got {score_threshold}")
        for field, number in (("batch_size", batch_size), ("threads", threads)):
            if number is not None and number < 1:
                raise ValueError(f"{field} must be at least 1, got {number}")
        self.weights, self.device, self.precision = weights, device, precision
        self.batch_size, self.threads = batch_size, threads
        self.rule = self.selection
        if score_threshold is not None:
            self.rule = replace(self.selection, score_threshold=score_threshold)
        self._network: TwoStageNetwork | None = None

    @abstractmethod
    def build(self, tensors: Mapping[str, Tensor]) -> TwoStageNetwork:
        """The network without weights, for those of a file; a subclass may set `pictures` by them."""

    @abstractmethod
    def settle(self, network: TwoStageNetwork, precision: Precision) -> TwoStageNetwork:
        """`network`, whose weights are there, in the arithmetic that was asked for; may change it in place."""

    def weights_file(self) -> Path:
        """The file that `load` reads; a missing one raises."""
        return weights_file(self.weights, self.name)

    def load(self) -> TwoStageNetwork:
        """The network on its device, loaded if it is not yet; see `rcnn.weights.load_network` for errors."""
        if self._network is None:
            device = pick_device(str(self.device))
            precision = recommended_precision(device) if self.precision == "auto" else self.precision
            if precision == "float16" and device.type == "cpu":
                logger.warning(
                    "float16 takes minutes a picture on a CPU, which has no such convolutions; take bfloat16"
                )
            network = load_network(self.build, self.weights_file(), self.name)
            self._network = self.settle(network, precision).to(device)
        return self._network

    def release(self) -> None:
        """Free the network's memory; the next call loads it again."""
        self._network = None
        free_memory()

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """What is in each picture, scores descending.

        Args:
            images: RGB uint8 (H, W, 3).

        Raises:
            ValueError: what is no picture.
        """
        images = check_pictures(images)
        found: dict[int, Detections] = {}
        if images:
            network = self.load()
            with torch_threads(self.threads), exact_float32(), torch.inference_mode():
                for positions in alike(images, self.pictures, self.batch_size):
                    results = self._detect(network, [images[position] for position in positions])
                    found.update(zip(positions, results, strict=True))
        return [found[position] for position in range(len(images))]

    def _detect(self, network: TwoStageNetwork, images: Sequence[np.ndarray]) -> list[Detections]:
        """One pass: pictures that share a padded size."""
        device = next(network.parameters()).device
        batch, sizes = prepare(images, self.pictures, device=device)
        results = []
        for image, size, selected in zip(images, sizes, network(batch, sizes, self.rule), strict=True):
            boxes, kept = to_photo(selected.boxes, size, image.shape[:2])
            scores, classes = selected.scores[kept], selected.classes[kept]
            results.append(Detections(*(values.cpu().numpy() for values in (boxes, scores, classes))))
        return results
