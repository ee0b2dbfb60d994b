"""Pictures as the detectors take them, checked once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: OpenCV's warp addresses pixels with 16-bit numbers.
_LONGEST = 32767


def check_pictures(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """`images` as a list of contiguous RGB uint8 arrays (H, W, 3), or a ValueError that says which is none."""
    if isinstance(images, np.ndarray) and images.ndim == 3:
        raise ValueError("images must be a list of pictures, got one array of three dimensions; pass [image]")
    return [_check(image, f"images[{index}]") for index, image in enumerate(images)]


def _check(image: np.ndarray, name: str) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name} must be a numpy array (H, W, 3) of RGB uint8, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3:
        hint = "; a grey picture becomes RGB with np.repeat(image[..., None], 3, -1)" if image.ndim == 2 else ""
        raise ValueError(f"{name} must have shape (H, W, 3), got {image.shape}{hint}")
    if image.dtype != np.uint8:
        raise ValueError(
            f"{name} must be uint8 in 0..255, got {image.dtype}; scale and convert it with .astype(np.uint8)"
        )
    if 0 in image.shape:
        raise ValueError(f"{name} has no pixels: shape {image.shape}")
    if max(image.shape[:2]) > _LONGEST:
        raise ValueError(f"{name} is longer than {_LONGEST} px: shape {image.shape}; scale it down first")
    return np.ascontiguousarray(image)
