"""Cameras from EXIF and from nothing."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from hamer.geometry.intrinsics import camera_from_exif, default_camera

FILM_DIAGONAL = math.hypot(36, 24)


def test_default_camera_is_a_diagonal() -> None:
    camera = default_camera(1600, 1200)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (2000, 2000, 800, 600)
    assert camera.source == "assumed"
    with pytest.raises(ValueError, match="positive"):
        default_camera(0, 10)


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (2000, 1500)])
def test_film_equivalent(size: tuple[int, int]) -> None:
    camera = camera_from_exif({"FocalLengthIn35mmFilm": 26, "ExifImageWidth": 4000, "ExifImageHeight": 3000}, *size)
    assert camera is not None
    assert camera.source == "exif"
    assert camera.fx == pytest.approx(26 / FILM_DIAGONAL * math.hypot(*size))
    assert (camera.cx, camera.cy) == (size[0] / 2, size[1] / 2)


@pytest.mark.parametrize(("unit", "per_mm"), [(2, 1 / 25.4), (3, 0.1), (4, 1.0)])
def test_sensor_resolution(unit: int, per_mm: float) -> None:
    exif = {37386: (50, 1), 41486: IFDRational(4000, 1), 41488: unit, 40962: 6000, 40963: 4000}
    camera = camera_from_exif(exif, 3000, 2000)
    focal = 50 * 4000 * per_mm / 2
    if focal < 60 * math.hypot(3000, 2000):
        assert camera is not None
        assert camera.fx == pytest.approx(focal)
    else:  # 4,000 pixels a millimetre is no camera
        assert camera is None


def test_pil_exif_of_a_file() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[41989] = 28
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "JPEG", exif=exif)
    read = Image.open(io.BytesIO(buffer.getvalue())).getexif()
    camera = camera_from_exif(read, 64, 48)
    assert camera is not None
    assert camera.fx == pytest.approx(28 / FILM_DIAGONAL * 80)


@pytest.mark.parametrize(
    "exif",
    [
        None,
        {},
        {"FocalLengthIn35mmFilm": 0},
        {"FocalLengthIn35mmFilm": "unknown"},
        {"FocalLengthIn35mmFilm": float("nan")},
        {"FocalLengthIn35mmFilm": 1},  # a diagonal field of view of 175 degrees
        {"FocalLengthIn35mmFilm": 100000},
        {"FocalLength": (0, 0), "FocalPlaneXResolution": 100},
        {"FocalLength": IFDRational(0, 0)},
        {"FocalLength": 50},  # says nothing without the sensor
        {"FocalLengthIn35mmFilm": 26, "ExifImageWidth": 4000, "ExifImageHeight": 3000},  # cropped since: 800 x 800
    ],
)
def test_exif_that_says_too_little(exif: Any) -> None:
    assert camera_from_exif(exif, 800, 800) is None
