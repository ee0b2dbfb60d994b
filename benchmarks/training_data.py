"""Training samples per second on one core: ours against the original's recipe, on the same tar.

    python benchmarks/training_data.py [--seconds 4] [--rounds 3] [--tar FILE.tar]

Without `--tar`, tars are made whose pictures have the sizes of the training sets (FreiHAND 224x224, InterHand 334x512 with two
hands, COCO 640x480 with two hands and masks, MTC 1920x1080 with two hands). The original's recipe, written from its description:
webdataset decodes every picture (Pillow), the annotation's pickle and the masks; each hand takes a copy of the whole picture
with its mask as fourth channel, mirrored where it is a left hand, warps it, and scales and normalises colours plane by plane;
keypoints go through the affine one by one. Its blur is off by default; the last column switches it on (the whole picture in
float64 for every enlarged hand). Ways run in turns within each round, the best round counts; process time, one thread.
"""

from __future__ import annotations

import argparse
import io
import os
import pickle
import platform
import random
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import webdataset as wds

from hamer.configs import ConfigNode
from hamer.crops import Augmentation, blur
from hamer.crops.affine import patch_transform
from hamer.crops.normalisation import IMAGE_MEAN, IMAGE_STD
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.gpu_samples import WindowCutter
from hamer.datasets.hands import PatchCutter, decode
from hamer.datasets.tar_dataset import TarSamples, tar_source
from hamer.datasets.tar_reading import read_tar

try:
    from skimage.filters import gaussian as skimage_gaussian
except ImportError:
    skimage_gaussian = None

KINDS = {  # width, height, hands, masks, range of the box's side in parts of the picture's height
    "FreiHAND 224x224, 1 hand": (224, 224, 1, False, (0.4, 0.7)),
    "InterHand 334x512, 2 hands": (334, 512, 2, False, (0.2, 0.4)),
    "COCO 640x480, 2 hands, masks": (640, 480, 2, True, (0.1, 0.3)),
    "MTC 1920x1080, 2 hands": (1920, 1080, 2, False, (0.08, 0.2)),
}
AUGMENT = {
    "SCALE_FACTOR": 0.3,
    "ROT_FACTOR": 30,
    "TRANS_FACTOR": 0.02,
    "COLOR_SCALE": 0.2,
    "ROT_AUG_RATE": 0.6,
    "TRANS_AUG_RATE": 0.5,
    "DO_FLIP": False,
    "FLIP_AUG_RATE": 0.0,
    "EXTREME_CROP_AUG_RATE": 0.0,
}
FILTERS = {
    "SUPPRESS_KP_CONF_THRESH": 0.3,
    "FILTER_NUM_KP": 4,
    "FILTER_REPROJ_THRESH": 31000,
    "SUPPRESS_BETAS_THRESH": 3.0,
    "POSES_BETAS_SIMULTANEOUS": True,
    "BETAS_REG": True,
}
CFG = ConfigNode({"MODEL": {"IMAGE_SIZE": 256}, "DATASETS": {"CONFIG": AUGMENT, **FILTERS}})


# ---------------------------------------------------------------- tars


def made_picture(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A picture with detail at every scale, weaker the finer, as photographs have."""
    total = np.zeros((height, width, 3), np.float32)
    for k in range(8):
        layer = rng.normal(0, 14 * 1.6 ** (k - 2), (max(height >> k, 2), max(width >> k, 2), 3)).astype(np.float32)
        total += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
    return (total + 128).clip(0, 255).astype(np.uint8)


def made_annotation(width: int, height: int, side: tuple[float, float], rng: np.random.Generator, mask: int) -> dict:
    """One hand, somewhere in the picture."""
    box = rng.uniform(*side, 2) * height
    center = rng.uniform(0.25, 0.75, 2) * [width, height]
    points = np.column_stack([center + rng.uniform(-0.5, 0.5, (21, 2)) * box, np.ones(21)])
    return {
        "keypoints_2d": points.astype(np.float32),
        "keypoints_3d": rng.normal(0, 0.1, (21, 4)).astype(np.float32),
        "center": center.astype(np.float32),
        "scale": (1.5 * box / 200).astype(np.float32),
        "hand_pose": rng.normal(0, 0.3, 48).astype(np.float32),
        "betas": rng.normal(0, 1, 10).astype(np.float32),
        "right": np.float32(rng.integers(2)),
        "has_hand_pose": np.float32(1),
        "has_betas": np.float32(1),
        "extra_info": {"fitting_loss": np.array({"reprojection_loss": 900.0}), "detection_npz_idx": mask},
    }


def make_tar(path: Path, kind: tuple[int, int, int, bool, tuple[float, float]], samples: int) -> None:
    """A tar of the original's format."""
    width, height, hands, masks, side = kind
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for number in range(samples):
            encoded = cv2.imencode(".jpg", made_picture(width, height, rng), [cv2.IMWRITE_JPEG_QUALITY, 92])[
                1
            ].tobytes()
            annotations = [made_annotation(width, height, side, rng, hand) for hand in range(hands)]
            members = {"jpg": encoded, "data.pyd": pickle.dumps(annotations, protocol=4)}
            if masks:
                stream = io.BytesIO()
                np.savez_compressed(stream, masks=np.ones((hands, height, width), bool))
                members["detection.npz"] = stream.getvalue()
            for extension, content in members.items():
                info = tarfile.TarInfo(f"{number:06d}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


# ---------------------------------------------------------------- the original's recipe


def original_items(tar: Path, antialias: bool = False) -> Iterator[dict[str, Any]]:
    """What the original's pipeline computes for a hand, with train=True, before batches are made."""
    pipeline = wds.WebDataset(str(tar), shardshuffle=False).decode("rgb8").rename(jpg="jpg;jpeg;png")
    for sample in pipeline:
        for annotation in sample["data.pyd"]:
            if "detection.npz" in sample:
                mask = sample["detection.npz"]["masks"][annotation["extra_info"]["detection_npz_idx"]]
            else:
                mask = np.ones_like(sample["jpg"][:, :, 0], dtype=bool)
            yield original_item(sample["jpg"], mask, annotation, antialias)


def original_item(picture: np.ndarray, mask: np.ndarray, annotation: dict[str, Any], antialias: bool) -> dict[str, Any]:
    """One hand's item."""
    points = annotation["keypoints_2d"].copy()
    points[:, 2] = np.where(points[:, 2] < 0.3, 0.0, points[:, 2])
    size = float((annotation["scale"] * 200).max())
    change = Augmentation.sample(CFG.DATASETS.CONFIG, random)  # type: ignore[arg-type]
    whole = np.concatenate([picture, mask.astype(np.uint8)[:, :, None] * 255], axis=2).copy()
    width = whole.shape[1]
    x = annotation["center"][0] + size * change.shift_x
    y = annotation["center"][1] + size * change.shift_y
    factor = 256 / (size * change.scale)
    pixels: np.ndarray = whole
    if antialias and factor > 1.1:
        pixels = whole_picture_gaussian(whole, (factor - 1) / 2)
    if not annotation["right"]:
        pixels, x = np.ascontiguousarray(pixels[:, ::-1]), width - x - 1
        points[:, 0] = width - points[:, 0] - 1
    matrix = patch_transform(x, y, size, size, 256, 256, change.scale, change.rotation)
    patch = cv2.warpAffine(pixels, matrix, (256, 256), flags=cv2.INTER_LINEAR)
    img = patch.transpose(2, 0, 1).astype(np.float32)
    for channel in range(3):
        img[channel] = np.clip(img[channel] * change.color_scale[channel], 0, 255)
        img[channel] = (img[channel] - 255 * IMAGE_MEAN[channel]) / (255 * IMAGE_STD[channel])
    for point in points:
        point[:2] = matrix @ [point[0], point[1], 1.0]
    points[:, :2] = points[:, :2] / 256 - 0.5
    turn, _ = cv2.Rodrigues(annotation["hand_pose"][:3].astype(np.float64))
    cv2.Rodrigues(turn)
    believed = (img[3] / 255.0).clip(0, 1)
    return {"img": img[:3], "mask": np.ones_like(believed) if (believed < 0.5).all() else believed, "kp": points}


def whole_picture_gaussian(image: np.ndarray, sigma: float) -> np.ndarray:
    """The whole picture blurred in float64, by scikit-image or the same kernel in OpenCV."""
    if skimage_gaussian is not None:
        return skimage_gaussian(image, sigma=sigma, channel_axis=2, preserve_range=True, truncate=3.0)
    kernel = blur.gaussian_kernel(sigma, 3.0)
    return cv2.sepFilter2D(image.astype(np.float64), cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)


# ---------------------------------------------------------------- ours


def our_items(tar: Path, cutter_kind: type, antialias: bool = False) -> Iterable[dict[str, Any]]:
    """Our stream of one tar, train=True, in the tar's order."""
    cfg = CFG.clone()
    cfg.DATASETS.USE_SKIMAGE_ANTIALIAS = antialias
    source = tar_source(cfg, str(tar), train=False)
    return TarSamples(source, cutter_kind(CropSettings.from_cfg(cfg, train=True)))


def decoded_pictures(tar: Path) -> Iterator[np.ndarray]:
    """Only reading and decoding: what no way can do without."""
    source = tar_source(CFG, str(tar), train=False)
    for sample in read_tar(source.urls[0], source.skipped):
        yield decode(sample.picture or b"")


# ---------------------------------------------------------------- the table


def seconds_an_item(items: Callable[[], Iterable[Any]], limit: float) -> float:
    """Process time for an item, over whole passes until `limit` seconds are gone."""
    count, start = 0, time.process_time()
    while time.process_time() - start < limit:
        count += sum(1 for _ in items())
    return (time.process_time() - start) / max(count, 1)


def machine() -> str:
    """The machine and the libraries in a line."""
    info = Path("/proc/cpuinfo")
    names = []
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    model = names[0] if names else platform.processor() or platform.machine()
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{model}, {os.cpu_count()} CPUs, 1 thread{load}; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"OpenCV {cv2.__version__}, webdataset {wds.__version__}; process time"
    )


def row(name: str, tar: Path, seconds: float, rounds: int) -> str:
    """One line of the table."""
    hands = sum(1 for _ in our_items(tar, PatchCutter))
    pictures = sum(1 for _ in decoded_pictures(tar))
    ways: dict[str, Callable[[], Iterable[Any]]] = {
        "original": lambda: original_items(tar),
        "ours": lambda: our_items(tar, PatchCutter),
        "device": lambda: our_items(tar, WindowCutter),
        "decode": lambda: decoded_pictures(tar),
        "original blur": lambda: original_items(tar, antialias=True),
        "ours blur": lambda: our_items(tar, PatchCutter, antialias=True),
    }
    best = {way: min(seconds_an_item(items, seconds) for _ in range(rounds)) for way, items in ways.items()}
    best["decode"] *= pictures / hands
    cells = [name, *(f"{1 / best[way]:.0f}" for way in ("original", "ours", "device"))]
    cells += [f"{best['original'] / best[way]:.1f}" for way in ("ours", "device")]
    cells += [f"{best['decode'] / best[way]:.0%}" for way in ("ours", "device")]
    cells += [f"{best['original blur'] / best['ours blur']:.1f}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each way and round (default: 4)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tar", type=Path, help="a tar of the original's format instead of made ones")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print(machine())
    heads = ["pictures", "original /s", "ours /s", "device crops /s", "ratio", "ratio device", "decode in ours"]
    heads += ["decode in device", "ratio with blur"]
    print("| " + " | ".join(heads) + " |\n| --- |" + " ---: |" * (len(heads) - 1))
    with tempfile.TemporaryDirectory() as folder:
        tars = {options.tar.name: options.tar} if options.tar else {}
        if not options.tar:
            for name, kind in KINDS.items():
                tars[name] = Path(folder) / f"{len(tars)}.tar"
                make_tar(tars[name], kind, samples=24)
        for name, tar in tars.items():
            print(row(name, tar, options.seconds, options.rounds), flush=True)
    print(
        "Samples (hands) a second on one core. decode in ...: share of the time that reading the tar and decoding the picture "
        "alone take, which bounds every way that keeps the original's pixels: a picture decoded at a reduced scale has others."
    )


if __name__ == "__main__":
    main()
