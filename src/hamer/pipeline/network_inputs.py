"""What a network is fed with: crops of its own size and shape, and the landmarks that it may take beside them. N hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hamer.crops import CropBatch, crop_pictures
from hamer.crops.windows import RESCALE_FACTOR, can_be_cropped
from hamer.geometry.directions import turns_about_view
from hamer.structures import HandBoxes

if TYPE_CHECKING:
    from hamer.models.hamer import HAMER

LEAST_CONFIDENCE = 0.2
"""Mean confidence of a hand's points below which they show something else: what the landmark model says of a box without a hand."""


@dataclass(frozen=True)
class NetworkInputs:
    """How a network sees a hand.

    Attributes:
        size: side of the square crop, px.
        bbox_shape: width and height whose aspect ratio a box takes first (`hamer.crops.crop_windows`).
        rescale_factor: the crop's side over the box's.
        takes_landmarks: the network has tokens for the 21 points of a landmark model.
        upright: the network knows hands that point up (`hamer.pipeline.views`).
    """

    size: int = 256
    bbox_shape: tuple[int, int] = (192, 256)
    rescale_factor: float = RESCALE_FACTOR
    takes_landmarks: bool = False
    upright: bool = False

    @classmethod
    def of(cls, network: HAMER, rescale_factor: float | None = None) -> NetworkInputs:
        """What `network` was trained to see.

        Args:
            network: its configuration says the crop's side, `MODEL.BBOX_SHAPE`, `MODEL.RESCALE_FACTOR` (absent: the
                original's 2.0), `MODEL.LANDMARK_TOKENS` and `MODEL.UPRIGHT`.
            rescale_factor: of the caller's, instead of the configuration's.
        """
        model = network.cfg.get("MODEL", {})
        if rescale_factor is None:
            rescale_factor = float(model.get("RESCALE_FACTOR") or RESCALE_FACTOR)
        width, height = model.get("BBOX_SHAPE") or network.config.bbox_shape
        takes_landmarks = network.landmark_tokens is not None
        upright = bool(model.get("UPRIGHT", False))
        return cls(network.config.image_size, (int(width), int(height)), rescale_factor, takes_landmarks, upright)

    def can_be_cropped(self, boxes: np.ndarray) -> np.ndarray:
        """Which of the boxes (N, 4) xyxy px a crop can be made of, (N,) bool."""
        return can_be_cropped(boxes, rescale_factor=self.rescale_factor, bbox_shape=self.bbox_shape)

    def crops(
        self,
        images: Sequence[np.ndarray],
        picture_index: np.ndarray,
        boxes: np.ndarray,
        is_right: np.ndarray,
        rotation: np.ndarray | None = None,
    ) -> CropBatch:
        """Crops of hands in several pictures (see `hamer.crops.crop_pictures`)."""
        return crop_pictures(
            images,
            picture_index,
            boxes,
            is_right,
            rescale_factor=self.rescale_factor,
            bbox_shape=self.bbox_shape,
            size=self.size,
            rotation=rotation,
        )

    def batch(self, crops: CropBatch, hands: HandBoxes, device: torch.device | str | None) -> dict[str, Any]:
        """The network's batch for `crops` of `hands`."""
        batch = crops.to_batch(device)
        if self.takes_landmarks:
            batch["landmarks"] = torch.from_numpy(landmarks_in_crops(hands, crops)).to(device)
        return batch


def believed_points(hands: HandBoxes) -> np.ndarray:
    """(N, 21) bool: joints whose place in the picture the detector gave with some confidence, unless it does not believe in the
    whole hand (`LEAST_CONFIDENCE`).
    """
    if hands.keypoints_2d is None:
        return np.zeros((len(hands), 21), bool)
    confidence = np.clip(np.nan_to_num(hands.keypoints_2d[..., 2].astype(np.float64)), 0.0, 1.0)
    known = np.isfinite(hands.keypoints_2d).all(-1) & (confidence > 0)
    return np.asarray(known & (confidence.mean(-1) >= LEAST_CONFIDENCE)[:, None])


def landmarks_in_crops(hands: HandBoxes, crops: CropBatch) -> np.ndarray:
    """Joints that a detector found as a network with landmark tokens takes them; the same numbers as in training's items.

    A point counts as known where it is believed (`believed_points`). Detectors that give no guess in 3D leave it zero, as
    training does now and then.

    Returns:
        (N, 21, 7) float32: x, y in crop widths from the crop's centre, confidence 0..1, X, Y, Z metres from the guess's own
        wrist, axes of a camera that is turned as the crop is, 1. A left hand's are mirrored, as its crop is. All seven are 0
        for an unknown point.
    """
    tokens = np.zeros((len(hands), 21, 7), np.float32)
    if hands.keypoints_2d is None:
        return tokens
    points, known = hands.keypoints_2d.astype(np.float64), believed_points(hands)
    confidence = np.clip(np.nan_to_num(points[..., 2]), 0.0, 1.0)
    tokens[..., :2] = crops.to_crop(points[..., :2]) / crops.img.shape[-1] - 0.5
    tokens[..., 2] = confidence
    if hands.keypoints_3d is not None:
        guess = hands.keypoints_3d.astype(np.float64)
        from_wrist = guess - guess[:, :1]
        if crops.rotation is not None:  # the guess as a camera would see it that is turned as the crop is
            from_wrist = from_wrist @ turns_about_view(crops.rotation)  # rows: times the inverse's transpose
        from_wrist[..., 0] *= np.where(hands.is_right, 1.0, -1.0)[:, None]
        tokens[..., 3:6] = np.where(np.isfinite(from_wrist).all(-1, keepdims=True), from_wrist, 0.0)
    tokens[..., 6] = 1.0
    tokens[~known] = 0.0
    return tokens
