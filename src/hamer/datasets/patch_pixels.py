"""The pixels of a training example: a patch of grey levels with its mask, then network input. The original's numbers.

As in the original the mask is the warp's fourth channel (OpenCV warps four channels faster than three), but only the part
of the picture that the patch shows is copied; and the arithmetic of colours is done once for each of the 256 grey levels.
"""

from __future__ import annotations

import cv2
import numpy as np

from hamer.crops.augmentation import scale_colors
from hamer.crops.patches import patch_window, warp_patch
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.example import ExamplePlan

TRUNCATE = 3.0
"""Sigmas at which a training example's blur is cut; inference cuts later."""

_LEVELS = np.broadcast_to(np.arange(256, dtype=np.float32), (3, 1, 256))
_BELIEF = (np.arange(256) / 255.0).astype(np.float32)


def cut_patch(picture: np.ndarray, mask: np.ndarray | None, plan: ExamplePlan, settings: CropSettings) -> np.ndarray:
    """The patch (S, S, 4): the picture's channels in their order, and its mask; zero outside the picture.

    Args:
        picture: (H, W, 3) uint8.
        mask: (H, W), non-zero where the picture is to be believed, or None for everywhere.

    Returns:
        grey levels, uint8 where nothing is blurred, else floating.
    """
    patch = _cut(picture, mask, plan, settings)
    return patch if plan.coarseness is None else plan.coarseness(patch)


def _cut(picture: np.ndarray, mask: np.ndarray | None, plan: ExamplePlan, settings: CropSettings) -> np.ndarray:
    size = (settings.size, settings.size)
    if plan.sigma > 0 or settings.border_mode != cv2.BORDER_CONSTANT:
        return _general_patch(with_mask(picture, mask), plan, settings)
    (x0, y0, x1, y1), inverse = patch_window(plan.matrix, size, picture.shape[:2], mirrored=plan.flip)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((*size, 4), np.uint8)
    pixels = with_mask(picture[y0:y1, x0:x1], None if mask is None else mask[y0:y1, x0:x1])
    return cv2.warpAffine(pixels, inverse, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def with_mask(picture: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """A picture (H, W, 3) uint8 with its mask (H, W) in grey levels, 0 or 255, as fourth channel."""
    pixels = cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA)  # appends 255, whatever the three are
    if mask is not None:
        pixels[:, :, 3] = (np.asarray(mask) != 0).view(np.uint8) * np.uint8(255)
    return pixels


def _general_patch(pixels: np.ndarray, plan: ExamplePlan, settings: CropSettings) -> np.ndarray:
    """A patch that is blurred or repeats the picture's border; its mask is zero outside the picture all the same."""
    size = (settings.size, settings.size)

    def warped(channels: np.ndarray, border_mode: int) -> np.ndarray:
        return warp_patch(
            channels,
            plan.matrix,
            size,
            mirrored=plan.flip,
            sigma=plan.sigma,
            truncate=TRUNCATE,
            border_mode=border_mode,
        )

    if settings.border_mode == cv2.BORDER_CONSTANT:
        return warped(pixels, settings.border_mode)
    colors = warped(np.ascontiguousarray(pixels[:, :, :3]), settings.border_mode)
    return np.dstack([colors, warped(np.ascontiguousarray(pixels[:, :, 3:]), cv2.BORDER_CONSTANT)])


def network_input(
    patch: np.ndarray, plan: ExamplePlan, settings: CropSettings, *, is_bgr: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A patch (S, S, 4) as `img` (3, S, S) float32 RGB, colours scaled, clipped to 0..255, normalised; and `mask`.

    The mask (S, S) float32 is 0..1, and ones where it would leave nothing.
    """
    *planes, levels = cv2.split(patch)
    mean, std = settings.levels
    img = np.empty((3, *patch.shape[:2]), np.float32)
    table = color_table(plan.color_scale, mean, std)
    for channel, plane in enumerate(reversed(planes) if is_bgr else planes):
        if plane.dtype == np.uint8:
            cv2.LUT(plane, table[channel], dst=img[channel])
        else:
            factor = np.float32(plan.color_scale[channel])
            img[channel] = (np.clip(plane.astype(np.float32) * factor, 0.0, 255.0) - mean[channel]) / std[channel]
    return img, _believed(levels)


def color_table(color_scale: tuple[float, ...], mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Network input (3, 256) float32 of each grey level 0..255 in each channel; mean and std (3,) in grey levels."""
    return ((scale_colors(_LEVELS, color_scale) - mean[:, None, None]) / std[:, None, None])[:, 0]


def _believed(levels: np.ndarray) -> np.ndarray:
    if levels.dtype == np.uint8:
        return np.ones(levels.shape, np.float32) if levels.max() < 128 else cv2.LUT(levels, _BELIEF)
    mask = (levels / 255.0).clip(0.0, 1.0).astype(np.float32)
    return np.ones_like(mask) if (mask < 0.5).all() else mask
