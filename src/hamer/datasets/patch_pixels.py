"""The pixels of a training example: a patch of grey levels and a mask, then network input. The original's numbers.

The original warps a copy of the whole picture with the mask as fourth channel and does its colour arithmetic on float
planes. Here only the part that the patch shows is read, a mask that says nothing is not warped, and the arithmetic of
the 256 grey levels is done once a channel instead of once a pixel.
"""

from __future__ import annotations

import cv2
import numpy as np

from hamer.crops import affine
from hamer.crops.augmentation import scale_colors
from hamer.crops.patches import warp_patch
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.example import ExamplePlan

TRUNCATE = 3.0
"""Sigmas at which a training example's blur is cut; inference cuts later."""

_LEVELS = np.arange(256, dtype=np.float32)


def cut_patch(picture: np.ndarray, plan: ExamplePlan, settings: CropSettings) -> np.ndarray:
    """The patch (S, S, C) of `picture` (H, W, C), channels in its order; uint8 where nothing is blurred, else floating."""
    return warp_patch(
        picture,
        plan.matrix,
        (settings.size, settings.size),
        mirrored=plan.flip,
        sigma=plan.sigma,
        truncate=TRUNCATE,
        border_mode=settings.border_mode,
    )


def cut_mask(mask: np.ndarray | None, shape: tuple[int, int], plan: ExamplePlan, size: int) -> np.ndarray | None:
    """Where the patch is to be believed, in grey levels (S, S); zero outside the picture. None for all of it.

    Args:
        mask: (H, W), non-zero where the picture is to be believed, or None for everywhere.
        shape: H, W of the picture.
    """
    if mask is None:
        if plan.sigma == 0 and shows_only_picture(plan, shape, size):
            return None
        levels = np.full((*shape, 1), 255, np.uint8)
    else:
        levels = (np.asarray(mask) != 0).astype(np.uint8)[:, :, None] * np.uint8(255)
    warped = warp_patch(levels, plan.matrix, (size, size), mirrored=plan.flip, sigma=plan.sigma, truncate=TRUNCATE)
    return warped[:, :, 0]


def shows_only_picture(plan: ExamplePlan, shape: tuple[int, int], size: int) -> bool:
    """Whether every sample of the patch lies inside the picture, a pixel to spare."""
    inverse = affine.invert(plan.matrix)
    corners = np.array([[0, 0, 1], [size - 1, 0, 1], [0, size - 1, 1], [size - 1, size - 1, 1]], float) @ inverse.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    return bool(low.min() >= 1 and high[0] <= shape[1] - 2 and high[1] <= shape[0] - 2)


def network_input(patch: np.ndarray, plan: ExamplePlan, settings: CropSettings, *, is_bgr: bool) -> np.ndarray:
    """A patch (S, S, 3) as (3, S, S) float32 RGB: colours scaled, clipped to 0..255, normalised."""
    mean, std = (255.0 * np.asarray(v, np.float64) for v in (settings.mean, settings.std))
    mean, std = mean.astype(np.float32), std.astype(np.float32)
    planes = cv2.split(patch)[::-1] if is_bgr else cv2.split(patch)
    img = np.empty((3, *patch.shape[:2]), np.float32)
    table = color_table(plan.color_scale, mean, std)
    for channel, plane in enumerate(planes):
        if plane.dtype == np.uint8:
            cv2.LUT(plane, table[channel], dst=img[channel])
        else:
            factor = np.float32(plan.color_scale[channel])
            img[channel] = (np.clip(plane.astype(np.float32) * factor, 0.0, 255.0) - mean[channel]) / std[channel]
    return img


def color_table(color_scale: tuple[float, ...], mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Network input (3, 256) float32 of each grey level 0..255 in each channel."""
    levels = np.broadcast_to(_LEVELS, (3, 1, 256))
    return ((scale_colors(levels, color_scale) - mean[:, None, None]) / std[:, None, None])[:, 0]


def believed(mask_levels: np.ndarray | None, size: int) -> np.ndarray:
    """A mask's grey levels (S, S) as 0..1 float32; ones where nothing would be left."""
    if mask_levels is None:
        return np.ones((size, size), np.float32)
    patch = (mask_levels / 255.0).clip(0.0, 1.0).astype(np.float32)
    return np.ones_like(patch) if (patch < 0.5).all() else patch
