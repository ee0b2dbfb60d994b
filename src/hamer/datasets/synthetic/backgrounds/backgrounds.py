"""What lies behind a made hand: parts of given pictures, or painted ones."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np

from hamer.datasets.synthetic.backgrounds import procedural, scenes
from hamer.errors import PictureError
from hamer.pipeline.pictures import MAX_PIXELS, SUFFIXES, pixels_of, read_picture

logger = logging.getLogger(__name__)

LONGEST_SIDE = 1200  # pixels kept of a picture; a crop is taken from it, larger ones cost memory only
_DULL = 14.0  # grey levels of standard deviation; skies and wallpapers have many such parts
SHORTEST_SIDE = 64  # pixels; smaller files are icons
_LARGEST_FILE = MAX_PIXELS // 4  # pixels; one at a time is decoded, at three bytes each


class Backgrounds:
    """Random backgrounds.

    Args:
        folder: pictures in it and its subfolders are decoded once and kept, at most 1200 px long (2 to 3 MB each). Files that
            cannot be read are left out with a warning. None: only painted backgrounds.
        share: how many of the backgrounds come from the folder; the rest is painted.
        max_pictures: more pictures than this are thinned out evenly over the sorted names.

    Raises:
        PictureError: `folder` is missing, or holds not one picture that can be read.
        ValueError: `share` is outside 0..1 or `max_pictures` is less than 1.
    """

    def __init__(self, folder: Path | str | None = None, share: float = 0.7, max_pictures: int = 400) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"Backgrounds: share must be in 0..1, got {share}")
        if max_pictures < 1:
            raise ValueError(f"Backgrounds: max_pictures must be at least 1, got {max_pictures}")
        self.pictures = [] if folder is None else read_folder(Path(folder), max_pictures)
        self.share = share if self.pictures else 0.0

    def draw(self, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
        """A background (height, width, 3) uint8 RGB."""
        if rng.random() < self.share:
            return _varied(self._crop(width, height, rng), rng)
        return procedural.paint(width, height, rng)

    def _crop(self, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
        """A part of a picture; where it shows next to nothing, mostly another one is taken."""
        for _ in range(3):
            crop = random_crop(self.pictures[int(rng.integers(len(self.pictures)))], width, height, rng)
            if crop[::4, ::4].std(axis=(0, 1)).max() > _DULL or rng.random() < 0.15:
                break
        return crop


def read_folder(folder: Path, max_pictures: int) -> list[np.ndarray]:
    """The readable pictures in a folder and those below, each (H, W, 3) uint8 RGB at most 1200 px long.

    Raises:
        PictureError: no folder, or no readable picture in it.
    """
    if not folder.is_dir():
        raise PictureError(f"background folder must be a folder of pictures, but there is none at {folder}")
    found = [f for f in sorted(folder.rglob("*")) if f.suffix.lower() in SUFFIXES and f.is_file()]
    files = list({f.resolve(): f for f in found}.values())  # folders of wallpapers link one file under many names
    if len(files) > max_pictures:
        files = [files[i] for i in np.linspace(0, len(files) - 1, max_pictures).round().astype(int)]
    pictures = []
    for file in files:
        try:
            pictures.append(_read_small(file))
        except (PictureError, ImportError) as error:
            logger.warning("background left out: %s", error)
    if not pictures:
        raise PictureError(
            f"background folder {folder} must hold pictures, but of {len(files)} files with a picture's name "
            f"({', '.join(SUFFIXES)}) none could be read; give another folder, or none for painted backgrounds"
        )
    return pictures


def random_crop(picture: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A part of the picture (H, W, 3), mirrored at random, scaled to (height, width, 3)."""
    rows, columns = picture.shape[:2]
    whole = min(columns / width, rows / height)  # picture pixels per output pixel when all of it is used
    least = min(whole, 0.5)
    scale = float(np.exp(rng.uniform(np.log(least), np.log(whole))))
    w, h = min(columns, max(2, round(width * scale))), min(rows, max(2, round(height * scale)))
    x, y = int(rng.integers(0, columns - w + 1)), int(rng.integers(0, rows - h + 1))
    part = picture[y : y + h, x : x + w]
    method = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    crop = cv2.resize(part, (width, height), interpolation=method)
    if rng.random() < 0.5:
        crop = cv2.flip(crop, 1)
    return cv2.flip(crop, 0) if rng.random() < 0.1 else crop


def _varied(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other colours and focus, and now and then other channels, so that few pictures serve for many."""
    if rng.random() < 0.15:
        crop = np.ascontiguousarray(crop[..., rng.permutation(3)])
    if rng.random() < 0.18:
        scenes.scatter(crop, rng, int(rng.integers(1, 6)))
    if rng.random() < 0.1:
        crop = procedural.lit(crop, rng)
    return procedural.graded(procedural.focused(crop, rng), rng)


def _read_small(file: Path) -> np.ndarray:
    if pixels_of(file) > _LARGEST_FILE:
        raise PictureError(f"cannot use {file}: more than {_LARGEST_FILE:,} pixels; scale it down first")
    picture = read_picture(file).rgb
    height, width = picture.shape[:2]
    if min(height, width) < SHORTEST_SIDE:
        raise PictureError(f"cannot use {file}: {width} x {height} px, expected at least {SHORTEST_SIDE} each way")
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
