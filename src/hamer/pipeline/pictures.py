"""Files and arrays to upright RGB pictures, whatever their mode, depth, size or orientation.

Every reading fault becomes a PictureError that names the file and says what is wrong with it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from hamer.errors import PictureError, require
from hamer.geometry.cameras import camera_from_exif
from hamer.structures import Camera

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif")
MAX_PIXELS = 500_000_000  # about 1.5 GB of RGB: twice the largest phone sensor; beyond it a file is taken for a bomb

_HEIF = (".heic", ".heif")
_open_lock = threading.Lock()


@dataclass
class Picture:
    """`rgb` (H, W, 3) uint8, upright; `path` where it came from a file; `camera` where its EXIF data tell it."""

    rgb: np.ndarray
    path: Path | None = None
    camera: Camera | None = None

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.rgb.shape[0])


def read_picture(source: str | Path | np.ndarray | Picture) -> Picture:
    """An upright RGB picture from a file or an array.

    Args:
        source: a path; or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8, RGB order, already upright.

    Raises:
        PictureError: the file is missing, not a picture, truncated or too large, or the array has another form.
        MissingExtraError: an HEIC file without the extra that reads it.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | Path):
        return _read_file(Path(source))
    return Picture(_checked_array(np.asarray(source)))


def list_pictures(folder: str | Path, patterns: Sequence[str] | None = None) -> list[Path]:
    """The pictures directly inside `folder`, sorted by name, or `[folder]` where it is a file itself.

    Args:
        folder: a folder, or one picture.
        patterns: glob patterns such as "*.jpg" (matched without regard to case); None for every known suffix.

    Raises:
        PictureError: nothing exists at `folder`.
        ValueError: a pattern is empty.
    """
    folder = Path(folder)
    if patterns is not None and not all(patterns):
        raise ValueError(f"file_type patterns must not be empty, such as *.jpg, got {list(patterns)}")
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise PictureError(f"img_folder must be a folder or a picture, but nothing exists at {folder}")
    # A link to nothing is listed too: reading it reports it, and nobody wonders where its result is.
    listed = [f for f in sorted(folder.iterdir()) if not f.name.startswith(".")]
    files = [f for f in listed if f.is_file() or (f.is_symlink() and not f.exists())]
    if patterns is None:
        return [f for f in files if f.suffix.lower() in SUFFIXES]
    return [f for f in files if _matches(f, patterns)]


def _matches(file: Path, patterns: Iterable[str]) -> bool:
    return any(Path(file.name.lower()).match(pattern.lower()) for pattern in patterns)


def _read_file(path: Path) -> Picture:
    if not path.is_file():
        raise PictureError(
            f"cannot read {path}: no such file" if not path.exists() else f"cannot read {path}: not a file"
        )
    if path.stat().st_size == 0:
        raise PictureError(f"cannot read {path}: the file is empty")
    if path.suffix.lower() in _HEIF:
        require("pillow_heif", extra="heif", purpose=f"reading {path.name}").register_heif_opener()
    try:
        with _open(path) as image:
            _check_size(image, path)
            exif = image.getexif()
            ImageOps.exif_transpose(image, in_place=True)  # otherwise it copies a picture that is upright already
            rgb = _to_rgb(image)
            camera = camera_from_exif(exif, rgb.shape[1], rgb.shape[0])
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError(f"cannot read {path}: not enough memory for its pixels") from error
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, struct.error, ValueError
        raise PictureError(
            f"cannot read {path}: {error or type(error).__name__}. Expected a whole picture file "
            f"({', '.join(s[1:] for s in SUFFIXES)}); open it in a viewer or copy it again"
        ) from error
    return Picture(rgb, path, camera)


def pixels_of(source: str | Path | np.ndarray | Picture) -> int:
    """Width times height of what `read_picture` would read, from the file's first bytes; 0 where they do not tell."""
    if isinstance(source, Picture):
        return source.width * source.height
    if not isinstance(source, str | Path):
        return int(np.prod(np.shape(source)[:2]))
    try:
        with _open(Path(source)) as image:
            return image.width * image.height
    except Exception:  # reading it will say what is wrong
        return 0


def _open(path: Path) -> Image.Image:
    """Open `path` under our own limit of pixels: Pillow's would refuse the 200-megapixel pictures of phones."""
    with _open_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged metadata are no reason to speak: the pixels decide
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_size(image: Image.Image, path: Path) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"cannot read {path}: {width} x {height} pixels are more than the limit of {MAX_PIXELS:,}. Scale it down first"
        )


def _to_rgb(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 from an image of any Pillow mode; transparent parts turn white."""
    if image.mode.startswith("I") or image.mode == "F":
        integer = image.mode.startswith("I")  # 16 bits a pixel, which some decoders widen to 32
        return _eight_bit(np.asarray(image), 65535.0 if integer else 1.0)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGB", rgba.size, (255, 255, 255))
        white.paste(rgba, mask=rgba.getchannel("A"))
        return np.array(white)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _eight_bit(values: np.ndarray, white: float) -> np.ndarray:
    """Grey values (H, W) as (H, W, 3) uint8, where `white` is the brightest value.

    Brighter pictures are scaled by their own maximum; what is not finite turns black.
    """
    white = max(white, float(values.max(initial=0.0, where=np.isfinite(values))))
    rgb = np.empty((*values.shape, 3), np.uint8)
    for row, line in enumerate(values):  # a row at a time: as float64 a large picture would take gigabytes
        finite = np.nan_to_num(line.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        rgb[row] = np.clip(np.rint(finite / white * 255.0), 0, 255)[:, None]
    return rgb


def _checked_array(array: np.ndarray) -> np.ndarray:
    """`array` as (H, W, 3) uint8, or a PictureError that says what form is expected."""
    wanted = "expected an RGB array (H, W, 3) of uint8"
    if array.dtype != np.uint8:
        raise PictureError(f"{wanted}, got dtype {array.dtype}; for floats in 0..1 pass (255 * image).astype('uint8')")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
        raise PictureError(f"{wanted}, got shape {array.shape}")
    if array.shape[-1] == 1:
        return np.repeat(array, 3, axis=-1)
    return np.ascontiguousarray(array[..., :3])
