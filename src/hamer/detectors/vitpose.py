"""Backend `vitpose`: 133 keypoints of each person, by ViTPose+ huge for whole bodies.

ViTPose (Xu et al. 2022), trained as ViTPose++ (Xu et al. 2023) on COCO-WholeBody (Jin et al. 2020). The numbers are the
original's; persons of all pictures share batches.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hamer.detectors.weights_files import weights_file
from hamer.detectors.wholebody.crops import (
    HEIGHT,
    WIDTH,
    centers_and_scales,
    check_pictures_and_boxes,
    network_input,
    person_crop,
)
from hamer.detectors.wholebody.decoding import decode, unmirrored
from hamer.detectors.wholebody.keypoints import N_KEYPOINTS
from hamer.detectors.wholebody.network import WholeBodyNetwork
from hamer.detectors.wholebody.weights import load_network
from hamer.models.config import ViTConfig
from hamer.models.devices import exact_float32, free_memory, pick_device, torch_threads
from hamer.models.precision import PRECISIONS, Precision, recommended_precision, set_precision

logger = logging.getLogger(__name__)


class ViTPose:
    """Whole-body keypoints of persons whose boxes are known.

    Args:
        weights: the original's `wholebody.pth`, the mixture that it was split from, or a safetensors file; None takes the
            original's file where it is present (`hamer.assets.require_original`).
        device: "auto" or a torch device.
        precision: arithmetic of the backbone, see `hamer.models.precision`; "float32" is the reference.
        flip_test: look at each person mirrored too and take the mean, as the original does, at twice the cost.
        batch_size: persons a pass through the network (twice as many crops with the flip test); bounds the memory.
        threads: CPU threads of torch while this runs; None leaves its own choice.
        config: sizes of the backbone; None reads them off the weights.

    The weights are loaded by the first call, or by `load`.

    Raises:
        ValueError: an unknown precision, or numbers below 1. AssetError: the weights are nowhere (when they are loaded).
    """

    name = "vitpose"

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        device: str | torch.device = "auto",
        precision: Precision = "float32",
        flip_test: bool = True,
        batch_size: int = 8,
        threads: int | None = None,
        config: ViTConfig | None = None,
    ) -> None:
        if precision not in ("auto", *PRECISIONS):
            raise ValueError(f"precision must be one of auto, {', '.join(PRECISIONS)}, got {precision!r}")
        for field, number in (("batch_size", batch_size), ("threads", threads)):
            if number is not None and number < 1:
                raise ValueError(f"{field} must be at least 1, got {number}")
        self.weights, self.config, self.flip_test = weights, config, flip_test
        self.device, self.precision, self.batch_size, self.threads = device, precision, batch_size, threads
        self._network: WholeBodyNetwork | None = None

    def weights_file(self) -> Path:
        """The file that `load` reads; a missing one raises."""
        return weights_file(self.weights, self.name)

    def load(self) -> WholeBodyNetwork:
        """The network on its device, loaded if it is not yet; see `wholebody.weights.load_network` for errors."""
        if self._network is None:
            device = pick_device(str(self.device))
            precision = recommended_precision(device) if self.precision == "auto" else self.precision
            network = load_network(self.weights_file(), self.config)
            self._network = set_precision(network, precision).to(device)
        return self._network

    def release(self) -> None:
        """Free the network's memory; the next call loads it again."""
        self._network = None
        free_memory()

    def __call__(self, images: Sequence[np.ndarray], person_boxes: Sequence[Any]) -> list[np.ndarray]:
        """Keypoints of the persons in each picture.

        Args:
            images: RGB uint8 (H, W, 3).
            person_boxes: for each picture (P, 4) xyxy px; boxes may reach outside.

        Returns:
            for each picture (P, 133, 3) float32: x, y px (they may lie outside the picture) and score, the maximum of
            the keypoint's map, around 0 to 1 but not clipped.

        Raises:
            ValueError: what is no picture, or boxes that are not finite or have swapped corners.
        """
        images, boxes = check_pictures_and_boxes(list(images), list(person_boxes))
        persons = [(image, box) for image, own in zip(images, boxes, strict=True) for box in own]
        if not persons:
            return [np.zeros((0, N_KEYPOINTS, 3), np.float32) for _ in images]
        network = self.load()
        with torch_threads(self.threads), exact_float32(), torch.inference_mode():
            parts = [persons[start : start + self.batch_size] for start in range(0, len(persons), self.batch_size)]
            # Results stay on the device until the end, so that crops are cut while a GPU computes.
            found = torch.cat([self._keypoints(network, part) for part in parts]).cpu().numpy()
        unusable = ~np.isfinite(found).all((1, 2))
        if unusable.any():
            logger.warning(
                "%d of %d persons have keypoints that are not finite: weights are damaged or the precision is too low",
                unusable.sum(),
                len(found),
            )
        ends = np.cumsum([len(own) for own in boxes])
        return np.split(found, ends[:-1])

    def heatmaps(self, network: WholeBodyNetwork, inputs: Tensor) -> Tensor:
        """Maps (P, 133, 64, 48) float32 of normalised crops (P, 3, 256, 192), with the flip test where it is on."""
        if not self.flip_test:
            return network(inputs).float()
        plain, mirrored = network(torch.cat([inputs, inputs.flip(-1)])).float().chunk(2)
        return (plain + unmirrored(mirrored)) * 0.5

    def _keypoints(self, network: WholeBodyNetwork, persons: list[tuple[np.ndarray, np.ndarray]]) -> Tensor:
        """Keypoints (P, 133, 3) on the network's device, of (picture, box) pairs that fill one batch."""
        centers, scales = centers_and_scales(np.stack([box for _, box in persons]))
        crops = np.empty((len(persons), HEIGHT, WIDTH, 3), np.uint8)
        for crop, (image, _), center, scale in zip(crops, persons, centers, scales, strict=True):
            crop[:] = person_crop(image, center, scale)
        inputs = network_input(torch.from_numpy(crops).to(network.device))
        places = (torch.from_numpy(values).to(network.device) for values in (centers, scales))
        return decode(self.heatmaps(network, inputs), *places)
