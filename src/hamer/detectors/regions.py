"""Square, turned regions of a picture: where the networks look, and the way back to picture pixels.

A region's own coordinates run from 0 to 1 to the right and down. Its angle turns it clockwise as seen in the picture
(y down): at angle 0 it is upright, at pi/2 its upward direction points to the picture's right.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import ArrayLike

from hamer.detectors.rows import Rows
from hamer.detectors.skeleton import INDEX_MCP, MIDDLE_MCP, RING_MCP, WRIST
from hamer.geometry.directions import upward_angle

#: Tones. The networks were trained on bare skin in good light. Without colours, and with the middle of the crop well
#: exposed, a coloured glove looks like a hand to the landmark model; the palm detector sees many gloves in the negative
#: (a blue or black one becomes skin-like), and hands in the dark or in haze when contrast and brightness are stretched.
COLOR, GREY, BRIGHT, NEGATIVE = 0, 1, 2, 3


@dataclass
class Regions(Rows):
    """N squares and how they are looked at.

    `centers` (N, 2) px, `sizes` (N,) side px, `angles` (N,) radians, `mirrored` (N,) seen in a mirror, `tones` (N,)
    what is done to the colours: COLOR, GREY, BRIGHT, NEGATIVE.
    """

    centers: np.ndarray
    sizes: np.ndarray
    angles: np.ndarray
    mirrored: np.ndarray
    tones: np.ndarray

    @classmethod
    def of(cls, centers: ArrayLike, sizes: ArrayLike, angles: ArrayLike = 0.0, mirrored: bool = False) -> Regions:
        """Regions from arrays; a single angle or mirror flag holds for all."""
        centers = np.asarray(centers, float).reshape(-1, 2)
        n = len(centers)
        return cls(
            centers,
            np.broadcast_to(np.asarray(sizes, float), (n,)).copy(),
            np.broadcast_to(np.asarray(angles, float), (n,)).copy(),
            np.full(n, mirrored),
            np.full(n, COLOR),
        )

    @classmethod
    def concatenate(cls, parts: list[Regions]) -> Regions:
        """All regions of `parts` in their order."""
        if not parts:
            return cls.of(np.zeros((0, 2)), np.zeros(0))
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def changed(
        self, *, turn: float = 0.0, zoom: float = 1.0, mirror: bool = False, tone: np.ndarray | int | None = None
    ) -> Regions:
        """The same places looked at otherwise: turned by `turn` radians, enlarged by `zoom`, mirrored, in another tone."""
        tones = self.tones if tone is None else np.broadcast_to(tone, len(self)).copy()
        return Regions(self.centers, self.sizes * zoom, self.angles + turn, self.mirrored ^ mirror, tones)

    def rotations(self) -> np.ndarray:
        """(N, 2, 2) matrices that take a region's axes to the picture's, the mirror included."""
        cos, sin = np.cos(self.angles), np.sin(self.angles)
        flip = np.where(self.mirrored, -1.0, 1.0)
        return np.stack([np.stack([cos * flip, -sin], -1), np.stack([sin * flip, cos], -1)], -2)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Points (N, K, 2) in the regions' 0..1 coordinates as picture pixels."""
        offsets = (points - 0.5) * self.sizes[:, None, None]
        return self.centers[:, None] + np.einsum("nij,nkj->nki", self.rotations(), offsets)

    def directions_to_picture(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (N, K, 3), x right, y down, z into the picture, turned from the regions' axes to the picture's."""
        turned = vectors.copy()
        turned[..., :2] = np.einsum("nij,nkj->nki", self.rotations(), vectors[..., :2])
        return turned


def regions_from_palms(boxes: np.ndarray, keypoints: np.ndarray) -> Regions:
    """Whole-hand regions from palms: `boxes` (N, 4) xyxy px, `keypoints` (N, 7, 2) px, the palm detector's.

    The region points from the wrist (0) to the middle finger's base (2), is 2.6 times the palm's longer side, and
    moved half a palm towards the fingers. Source: MediaPipe Hands (Zhang et al. 2020), its published graph's constants.
    """
    angles = upward_angle(keypoints[:, 0], keypoints[:, 2])
    extent = (boxes[:, 2:] - boxes[:, :2]).max(-1)
    centers = (boxes[:, 2:] + boxes[:, :2]) / 2
    up = np.stack([np.sin(angles), -np.cos(angles)], -1)
    return Regions.of(centers + 0.5 * extent[:, None] * up, 2.6 * extent, angles)


#: Wrist, thumb up to its first joint, and the two lower joints of the fingers: the joints that hardly move when
#: fingers bend.
STEADY = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]


def regions_from_keypoints(keypoints: np.ndarray) -> Regions:
    """Whole-hand regions from a first guess of `keypoints` (N, 21, 2) px.

    The region points from the wrist to the bases of the fingers, is twice the longer side of the steady joints' box in
    those axes and moved up by a tenth. Source: the same graph's tracking region.
    """
    bases = (keypoints[:, INDEX_MCP] + keypoints[:, RING_MCP]) / 4 + keypoints[:, MIDDLE_MCP] / 2
    angles = upward_angle(keypoints[:, WRIST], bases)
    cos, sin = np.cos(angles), np.sin(angles)
    right, up = np.stack([cos, sin], -1), np.stack([sin, -cos], -1)
    steady = keypoints[:, STEADY]
    across, along = np.einsum("nkc,nc->nk", steady, right), np.einsum("nkc,nc->nk", steady, up)
    middle_across = (across.max(-1) + across.min(-1)) / 2
    middle_along = (along.max(-1) + along.min(-1)) / 2
    extent_along = np.ptp(along, axis=-1)
    middle_along = middle_along + 0.1 * extent_along
    centers = middle_across[:, None] * right + middle_along[:, None] * up
    return Regions.of(centers, 2.0 * np.maximum(np.ptp(across, axis=-1), extent_along), angles)


class Pyramid:
    """A picture (H, W, 3) uint8 RGB with its halvings, so that a small crop of a large region is not aliased.

    Halvings are made when first needed.
    """

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self._levels = [image]
        while min(self._levels[-1].shape[:2]) >= 2 and max(self._levels[-1].shape[:2]) > 96:
            height, width = self._levels[-1].shape[:2]
            half = cv2.resize(self._levels[-1], (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
            self._levels.append(half)

    def cut(self, regions: Regions, index: int, side: int, border: int) -> np.ndarray:
        """Region `index` as (side, side, 3) float32 in 0..1; `border` is OpenCV's border mode for what lies outside."""
        size = max(float(regions.sizes[index]), 1.0)
        level = int(np.clip(np.floor(np.log2(size / side)), 0, len(self._levels) - 1))
        source = self._levels[level]
        scale = np.array([source.shape[1] / self.image.shape[1], source.shape[0] / self.image.shape[0]])
        matrix = regions.rotations()[index] * (size / side)
        # Pixel centres: pixel (0, 0) of the crop covers the region's corner, so its centre is half a pixel inside.
        origin = regions.centers[index] + matrix @ np.full(2, 0.5 - side / 2)
        inverse = np.column_stack([matrix * scale[:, None], origin * scale - 0.5])
        enlarged = size / side < 1
        crop = cv2.warpAffine(
            source,
            inverse,
            (side, side),
            flags=(cv2.INTER_CUBIC if enlarged else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP,
            borderMode=border,
        )
        return _toned(crop.astype(np.float32) / 255.0, int(regions.tones[index]))


#: Range of grey values (0..1) below which a crop is so dull that stretching it helps more than taking its colours.
_DULL = 0.45


def _toned(crop: np.ndarray, tone: int) -> np.ndarray:
    """A crop (H, W, 3) in 0..1 in one of the tones."""
    if tone == COLOR:
        return crop
    crop = np.clip(crop, 0, 1)
    if tone == NEGATIVE:
        return 1 - crop
    grey = crop.mean(-1, keepdims=True)
    low, high = np.percentile(grey[::4, ::4], (1, 99))
    if tone == BRIGHT or high - low < _DULL:
        stretched = np.clip((crop - low) / max(float(high - low), 0.06), 0, 1).astype(np.float32)
        return _exposed(stretched, stretched, target=0.5, darkest=1.0)
    quarter = len(grey) // 4
    middle = grey[quarter:-quarter, quarter:-quarter]
    return np.repeat(_exposed(grey, middle, target=0.45, darkest=1.6), 3, -1)


def _exposed(crop: np.ndarray, part: np.ndarray, *, target: float, darkest: float) -> np.ndarray:
    """`crop` with the gamma, 0.35 to `darkest`, that brings the mean of its `part` to `target`."""
    mean = float(np.clip(part.mean(), 0.01, 0.99))
    gamma = float(np.clip(np.log(target) / np.log(mean), 0.35, darkest))
    return crop ** np.float32(gamma)
