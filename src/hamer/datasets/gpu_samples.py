"""Training crops made on the device: workers decode and cut uint8 windows, the device warps, mirrors, jitters, normalises.

The device repeats OpenCV 4's arithmetic: positions in steps of 1/1024 px rounded to 1/32, bilinear weights that are
multiples of 1/1024, sums rounded to grey levels. Such sums of bytes are exact in float32, so its crops equal those that
workers make, to the last bit. A window that would be a larger load than the patch itself is warped by the worker after all,
with the same numbers.

Letters: N hands, S side of the patch, T bytes of all windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from hamer.crops import affine
from hamer.crops.patches import patch_window
from hamer.datasets import patch_pixels
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.example import ExamplePlan

MAX_LOAD = 2.0
"""A window of more bytes than this many patches is warped by the worker, as is what is made coarse."""

CHUNK = 32
"""Hands that are warped at once on the device: each takes some 3 MB of positions and weights."""

_HALF_STEP = affine.WORKING_STEPS >> (affine.FRACTION_BITS + 1)
_TO_FRACTION = affine.WORKING_STEPS.bit_length() - 1 - affine.FRACTION_BITS


@dataclass(frozen=True)
class Window:
    """A part of a picture and how a patch reads it.

    `pixels` (h, w, 3 or 4) uint8: BGR and, where there is one, the mask in grey levels; `steps` (2, 2, S) int32: for the
    patch's columns, then rows, what each adds to x and y, in 1/1024 px of the window.
    """

    pixels: np.ndarray
    steps: np.ndarray


class WindowCutter:
    """Cuts windows; items hold `window` instead of `img` and `mask`, and a batch of them is finished by `WindowWarp`."""

    def __init__(self, settings: CropSettings) -> None:
        """Take the settings; ValueError for those that only the worker's path knows (antialias, other borders)."""
        if settings.antialias or settings.border_mode != cv2.BORDER_CONSTANT:
            raise ValueError(
                "DATASETS.DEVICE_CROPS must be false together with USE_SKIMAGE_ANTIALIAS or another BORDER_MODE than constant"
            )
        self.settings = settings

    def cut(self, picture: np.ndarray, mask: np.ndarray | None, plan: ExamplePlan) -> Window:
        """The window of a BGR picture (H, W, 3) and its mask (H, W) or None that the patch reads."""
        size = self.settings.size
        (x0, y0, x1, y1), inverse = patch_window(
            plan.matrix, (size, size), (picture.shape[0], picture.shape[1]), mirrored=plan.flip
        )
        if plan.coarseness is not None:
            return self._warped(picture, mask, plan)
        if x1 <= x0 or y1 <= y0:
            return Window(np.zeros((1, 1, 3), np.uint8), np.full((2, 2, size), -affine.WORKING_STEPS * 4, np.int32))
        if (x1 - x0) * (y1 - y0) > MAX_LOAD * size * size:
            return self._warped(picture, mask, plan)
        pixels = picture[y0:y1, x0:x1]
        if mask is not None:
            pixels = patch_pixels.with_mask(pixels, mask[y0:y1, x0:x1])
        return Window(np.ascontiguousarray(pixels), warp_steps(inverse, size))

    def finish(self, pixels: Window, plan: ExamplePlan) -> dict[str, Any]:
        """`window` and `color_scale` (3,) float32."""
        return {"window": pixels, "color_scale": np.array(plan.color_scale, np.float32)}

    def _warped(self, picture: np.ndarray, mask: np.ndarray | None, plan: ExamplePlan) -> Window:
        return Window(
            patch_pixels.cut_patch(picture, mask, plan, self.settings), warp_steps(np.eye(2, 3), self.settings.size)
        )


def warp_steps(inverse: np.ndarray, size: int) -> np.ndarray:
    """Positions as OpenCV 4's warpAffine sums them, (2, 2, S) int32: columns, then rows; of x, then y; 1/1024 px.

    Args:
        inverse: (2, 3) patch to window.
    """
    steps = np.arange(size, dtype=np.float64)
    scale = affine.WORKING_STEPS
    columns = [np.rint(inverse[axis, 0] * steps * scale) for axis in (0, 1)]
    rows = [np.rint((inverse[axis, 1] * steps + inverse[axis, 2]) * scale) + _HALF_STEP for axis in (0, 1)]
    return np.array([columns, rows], dtype=np.int32)


def collate_windows(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of items with windows: everything else as PyTorch collates it, the windows packed end to end."""
    windows: list[Window] = [item["window"] for item in items]
    rest = [{name: value for name, value in item.items() if name != "window"} for item in items]
    batch = torch.utils.data.default_collate(rest)
    sizes = [window.pixels.size for window in windows]
    batch["windows"] = {
        "pixels": torch.from_numpy(np.concatenate([window.pixels.reshape(-1) for window in windows])),
        "start": torch.from_numpy(np.cumsum([0, *sizes[:-1]]).astype(np.int64)),
        "shape": torch.tensor([window.pixels.shape for window in windows], dtype=torch.int64),
        "steps": torch.from_numpy(np.stack([window.steps for window in windows])),
    }
    return batch


class WindowWarp:
    """Turns a collated batch with `windows` into the usual one, with `img` and `mask`, on the batch's device."""

    def __init__(self, settings: CropSettings) -> None:
        self.size = settings.size
        self._mean, self._std = (torch.from_numpy(values) for values in settings.levels)

    @torch.no_grad()
    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch with `img` (N, 3, S, S) and `mask` (N, S, S) float32; one without windows is handed through."""
        if "windows" not in batch:
            return batch
        windows = batch["windows"]
        levels = [warp_windows(windows, slice(i, i + CHUNK)) for i in range(0, len(windows["start"]), CHUNK)]
        img = self._normalised(torch.cat([colors for colors, _ in levels]), batch["color_scale"])
        mask = _believed(torch.cat([masks for _, masks in levels]))
        rest = {name: value for name, value in batch.items() if name not in ("windows", "color_scale")}
        return {"img": img, "mask": mask, **rest}

    def _normalised(self, levels: torch.Tensor, color_scale: torch.Tensor) -> torch.Tensor:
        mean, std = (v.to(levels.device)[:, None, None] for v in (self._mean, self._std))
        return levels.mul_(color_scale[:, :, None, None]).clamp_(0.0, 255.0).sub_(mean).div_(std)


def warp_windows(windows: dict[str, torch.Tensor], rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches of some of the windows in grey levels: (N, 3, S, S) RGB and the mask (N, S, S), float32 whole numbers."""
    pixels, start, shape = windows["pixels"], windows["start"][rows], windows["shape"][rows]
    columns, lines = windows["steps"][rows].unbind(dim=1)  # (N, 2, S) each
    position = (columns[:, :, None, :] + lines[:, :, :, None]) >> _TO_FRACTION  # (N, 2, S, S), 1/32 px
    pixel = (position >> affine.FRACTION_BITS).to(torch.int64)
    fraction = (position & ((1 << affine.FRACTION_BITS) - 1)).to(torch.float32) / (1 << affine.FRACTION_BITS)
    height, width, channels = (v[:, None, None] for v in shape.unbind(dim=1))
    has_mask = channels == 4
    total = torch.zeros((4, *pixel.shape[:1], *pixel.shape[2:]), dtype=torch.float32, device=pixels.device)
    for dy in (0, 1):
        for dx in (0, 1):
            x, y = pixel[:, 0] + dx, pixel[:, 1] + dy
            weight = (fraction[:, 0] if dx else 1 - fraction[:, 0]) * (fraction[:, 1] if dy else 1 - fraction[:, 1])
            weight = weight * ((x >= 0) & (x < width) & (y >= 0) & (y < height))
            index = y.clamp(min=0).minimum(height - 1) * width + x.clamp(min=0).minimum(width - 1)
            index = start[:, None, None] + index * channels
            for channel in range(3):
                total[channel] += weight * pixels[index + (2 - channel)]
            believed = torch.where(has_mask, pixels[(index + 3).clamp(max=len(pixels) - 1)], 255)
            total[3] += weight * believed
    total = torch.floor(total + 0.5)
    return total[:3].transpose(0, 1), total[3]


def _believed(levels: torch.Tensor) -> torch.Tensor:
    """Masks (N, S, S) in grey levels as 0..1; ones where nothing would be left."""
    masks = (levels / 255.0).clamp(0.0, 1.0)
    nothing = (masks < 0.5).flatten(1).all(dim=1)
    return torch.where(nothing[:, None, None], torch.ones_like(masks), masks)
