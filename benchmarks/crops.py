"""Crops: ours against the original's recipe, which blurs and mirrors the whole picture for every hand.

    python benchmarks/crops.py [--threads 2] [--seconds 1.0] [--clock wall]

Three ways of making the same crops in the same run: the recipe of the original's data set (scikit-image's gaussian in
float64 over the picture, mirrored copy, warp, normalisation), `hamer.crops.hand_crops` (NumPy and OpenCV on the region
needed) and `hamer.crops.torch_crops` (CPU, and CUDA where there is a device; pictures already there). Prints times,
ratios, how far the results lie apart, and how many bytes each way moves: the original's cost grows with the picture,
ours with the crop.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from hamer.crops import IMAGE_MEAN, IMAGE_STD, blur, crop_windows, hand_crops, torch_crops
from hamer.crops.affine import patch_transform

try:
    from skimage.filters import gaussian as skimage_gaussian
except ImportError:
    skimage_gaussian = None

PICTURES = ((1920, 1080), (4000, 3000))
HANDS = (1, 4, 16)
GREY = 255 * np.asarray(IMAGE_STD)[:, None, None]


def whole_picture_gaussian(image: np.ndarray, sigma: float) -> np.ndarray:
    """The whole picture blurred in float64, by scikit-image or the same kernel in OpenCV."""
    if skimage_gaussian is not None:
        return skimage_gaussian(image, sigma=sigma, channel_axis=2, preserve_range=True)
    kernel = blur.gaussian_kernel(sigma)
    return cv2.sepFilter2D(image.astype(np.float64), cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)


def originals_recipe(rgb: np.ndarray, boxes: np.ndarray, right: np.ndarray) -> np.ndarray:
    """What the original computes for every hand."""
    centers, sizes = crop_windows(boxes)
    crops = []
    for center, size, is_right in zip(centers, sizes, right, strict=True):
        image = rgb.copy()
        sigma = blur.crop_sigma(size)
        if sigma > 0:
            image = whole_picture_gaussian(image, sigma)
        x = center[0]
        if not is_right:
            image, x = np.ascontiguousarray(image[:, ::-1, :]), rgb.shape[1] - center[0] - 1
        matrix = patch_transform(x, center[1], size, size, 256, 256)
        crop = cv2.warpAffine(image, matrix, (256, 256), flags=cv2.INTER_LINEAR).transpose(2, 0, 1).astype(np.float32)
        for channel in range(3):
            crop[channel] = (crop[channel] - 255 * IMAGE_MEAN[channel]) / (255 * IMAGE_STD[channel])
        crops.append(crop)
    return np.stack(crops)


def picture(width: int, height: int) -> np.ndarray:
    """A made picture with detail at every scale."""
    rng = np.random.default_rng(0)
    layers = [rng.uniform(0, 255, (max(height >> k, 2), max(width >> k, 2), 3)).astype(np.float32) for k in range(8)]
    return np.mean([cv2.resize(layer, (width, height)) for layer in layers], axis=0).clip(0, 255).astype(np.uint8)


def hand_boxes(width: int, height: int, count: int, fractions: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes whose sides are a part of the picture's height, and handedness."""
    rng = np.random.default_rng(count)
    side = rng.uniform(*fractions, (count, 2)) * height
    center = rng.uniform(0.15, 0.85, (count, 2)) * [width, height]
    return np.concatenate([center - side / 2, center + side / 2], axis=1), np.arange(count) % 2


def bytes_moved(width: int, height: int, boxes: np.ndarray) -> tuple[float, float]:
    """Bytes that the original's recipe and ours read and write at least, all hands together.

    Original: a copy of the picture; where it blurs float64 copy, two passes, each read and written, and half of the hands'
    mirrored copy. Ours: the crop's part of the picture once, blurred as float32 (written, read by the warp), and the crop.
    """
    pixels = 3.0 * width * height
    original = ours = 0.0
    for size in crop_windows(boxes)[1]:
        sigma = blur.crop_sigma(size)
        region = 3.0 * min(size, width) * min(size, height)
        original += 2 * pixels + (pixels * (8 + 2 * 16 + 16 / 2) if sigma > 0 else pixels)
        ours += region * (1 + 8) if sigma > 0 else region
        ours += 256 * 256 * 3 * (4 + 4)
    return original, ours


def measure(call: Callable[[], object], seconds: float, clock: Callable[[], float]) -> float:
    """Median seconds of a call over as many runs as fit the time, one unmeasured first, at least two."""
    start = time.perf_counter()
    call()
    times: list[float] = []
    while len(times) < 2 or (time.perf_counter() - start < seconds and len(times) < 50):
        before = clock()
        call()
        times.append(clock() - before)
    return float(np.median(times))


def torch_call(rgb: np.ndarray, boxes: np.ndarray, right: np.ndarray, device: str) -> Callable[[], torch.Tensor]:
    on_device = torch.from_numpy(rgb).to(device)
    index = np.zeros(len(boxes), int)

    def call() -> torch.Tensor:
        img = torch_crops([on_device], index, boxes, right).img
        if device == "cuda":
            torch.cuda.synchronize()
        return img

    return call


def machine(threads: int) -> str:
    """The machine and the libraries in a line or two."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    blurred_by = "scikit-image" if skimage_gaussian is not None else "OpenCV in float64 (scikit-image is not installed)"
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{model}, {os.cpu_count()} CPUs, {threads} threads{load}{gpu}; Python {platform.python_version()}, "
        f"NumPy {np.__version__}, OpenCV {cv2.__version__}, torch {torch.__version__}\nthe original's blur by {blurred_by}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each measured cell (default: 1)")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: time of the process, for a busy machine"
    )
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    cv2.setNumThreads(options.threads)
    torch.set_num_threads(options.threads)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    print(f"{machine(options.threads)}; {options.clock} time")
    heads = ["picture", "hands", "blurred", "original ms", "reference ms", *(f"torch {d} ms" for d in devices)]
    heads += ["crops/s", "ratio", *(f"ratio {d}" for d in devices), "max dev.", "MB original", "MB ours"]
    print("| " + " | ".join(heads) + " |\n|" + " ---: |" * len(heads))
    kinds = {"small": (0.03, 0.12), "mixed": (0.03, 0.35), "large": (0.3, 0.5)}
    for width, height in PICTURES:
        rgb = picture(width, height)
        for kind, count in [("small", 1), ("large", 1), *(("mixed", n) for n in HANDS[1:])]:
            boxes, right = hand_boxes(width, height, count, kinds[kind])
            print(row(rgb, kind, boxes, right, devices, options.seconds, clock), flush=True)
    print(
        "ratio: original / ours. max dev.: grey levels, over all ways. MB: read and written at least. The original is bound by "
        "memory traffic, several times the picture in float64 for every hand; ours by traffic for unblurred crops (the crop "
        "itself) and by the filter's arithmetic on the crop's part of the picture for blurred ones."
    )


def row(
    rgb: np.ndarray,
    kind: str,
    boxes: np.ndarray,
    right: np.ndarray,
    devices: list[str],
    seconds: float,
    clock: Callable[[], float],
) -> str:
    """One line of the table."""
    height, width = rgb.shape[:2]
    expected = originals_recipe(rgb, boxes, right)
    calls = [torch_call(rgb, boxes, right, device) for device in devices]
    results = [hand_crops(rgb, boxes, right).img, *(call().cpu().numpy() for call in calls)]
    deviation = max(float((np.abs(result - expected) * GREY).max()) for result in results)
    original = measure(lambda: originals_recipe(rgb, boxes, right), seconds, clock)
    ours = [measure(f, seconds, clock) for f in (lambda: hand_crops(rgb, boxes, right), *calls)]
    blurred = sum(blur.crop_sigma(size) > 0 for size in crop_windows(boxes)[1])
    cells = [f"{width}x{height}", f"{len(boxes)} {kind}", str(blurred), f"{original * 1e3:.1f}"]
    cells += [f"{t * 1e3:.2f}" for t in ours] + [f"{len(boxes) / ours[0]:.0f}"] + [f"{original / t:.1f}" for t in ours]
    cells += [f"{deviation:.1e}", *(f"{b / 1e6:.1f}" for b in bytes_moved(width, height, boxes))]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
