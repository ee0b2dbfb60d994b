"""Anti-aliasing before a crop that shrinks the picture: the Gaussian of the original, on the part that is needed.

The original blurs the whole picture in float64 for every hand (scikit-image's gaussian: nearest border, kernel cut at 4
sigma). The same kernel on the crop's region plus the kernel's radius gives the same numbers; the border is repeated
only where the region meets the picture's own border.
"""

from __future__ import annotations

import cv2
import numpy as np

TRUNCATE = 4.0
"""Where the kernel is cut, in sigmas."""


def crop_sigma(box_size: float, size: int = 256) -> float:
    """Sigma of the blur in px of the picture, for a square of `box_size` px that becomes `size` px; 0 for none.

    The original's rule: with f = box_size / size / 2, sigma is (f - 1) / 2 where f exceeds 1.1.
    """
    factor = float(box_size) / size / 2.0
    return (factor - 1.0) / 2.0 if factor > 1.1 else 0.0


def kernel_radius(sigma: float, truncate: float = TRUNCATE) -> int:
    """How many pixels on each side the kernel takes in."""
    return int(truncate * sigma + 0.5)


def gaussian_kernel(sigma: float, truncate: float = TRUNCATE) -> np.ndarray:
    """The sampled Gaussian (2 radius + 1,) float64, of sum 1; [1] for sigma 0."""
    radius = kernel_radius(sigma, truncate)
    if radius == 0:
        return np.ones(1)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


def blur_region(
    image: np.ndarray, region: tuple[int, int, int, int], sigma: float, truncate: float = TRUNCATE
) -> np.ndarray:
    """The pixels `region` of the blurred picture, without blurring the rest.

    Args:
        image: (H, W, C) uint8 or floating.
        region: x0, y0, x1, y1 px, inside the picture, ends excluded.

    Returns:
        (y1 - y0, x1 - x0, C) float32.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = region
    radius = kernel_radius(sigma, truncate)
    left, top = max(x0 - radius, 0), max(y0 - radius, 0)
    padded = image[top : min(y1 + radius, height), left : min(x1 + radius, width)]
    if padded.dtype != np.uint8:
        padded = padded.astype(np.float32)
    kernel = gaussian_kernel(sigma, truncate).astype(np.float32)
    # The slice is a picture of its own to OpenCV. Its border is repeated, which is right where it is the picture's
    # border; elsewhere the repeated pixels reach only the margin that is cut off here.
    blurred = cv2.sepFilter2D(np.ascontiguousarray(padded), cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return blurred.reshape(*padded.shape[:2], -1)[y0 - top : y1 - top, x0 - left : x1 - left]
