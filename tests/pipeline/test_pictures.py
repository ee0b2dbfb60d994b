"""Pictures as they come: every mode, depth, orientation and size, and what is no picture at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hamer.errors import PictureError
from hamer.pipeline import list_pictures, pictures, read_picture
from hamer.pipeline.pictures import pixels_of


@pytest.fixture
def scene() -> np.ndarray:
    """40 x 60 px with a bright top left corner, so that orientation shows."""
    rgb = np.full((40, 60, 3), 60, np.uint8)
    rgb[:10, :15] = (250, 200, 150)
    return rgb


def corner(rgb: np.ndarray) -> tuple[int, int]:
    """Row and column of the brightest quarter."""
    grey = rgb.mean(-1)
    h, w = grey.shape
    quarters = {
        (r, c): grey[r * h // 2 : (r + 1) * h // 2, c * w // 2 : (c + 1) * w // 2].mean()
        for r in (0, 1)
        for c in (0, 1)
    }
    return max(quarters, key=lambda k: quarters[k])


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "LAB"])
def test_modes_become_rgb(tmp_path: Path, scene: np.ndarray, mode: str) -> None:
    suffix = "tif" if mode in ("CMYK", "YCbCr", "LAB") else "png"
    image = Image.fromarray(scene).convert("RGB")
    if mode == "LAB":
        from PIL import ImageCms

        image = ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    else:
        image = image.convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    picture = read_picture(tmp_path / f"a.{suffix}")
    assert picture.rgb.shape == (40, 60, 3)
    assert picture.rgb.dtype == np.uint8
    assert corner(picture.rgb) == (0, 0)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_grey_pictures_keep_their_brightness(tmp_path: Path, dtype: type) -> None:
    values = np.linspace(0, 1, 40 * 60).reshape(40, 60)
    scaled = values.astype(np.float32) if dtype is np.float32 else (values * 65535).astype(dtype)
    Image.fromarray(scaled).save(tmp_path / "deep.tif")
    rgb = read_picture(tmp_path / "deep.tif").rgb
    np.testing.assert_allclose(rgb[..., 0], values * 255, atol=1.0)  # one level of 8 bits


def test_transparent_parts_turn_white(tmp_path: Path, scene: np.ndarray) -> None:
    alpha = np.full((40, 60, 1), 255, np.uint8)
    alpha[20:] = 0
    Image.fromarray(np.concatenate([scene, alpha], -1)).save(tmp_path / "a.png")
    rgb = read_picture(tmp_path / "a.png").rgb
    assert (rgb[20:] == 255).all()
    np.testing.assert_array_equal(rgb[:20], scene[:20])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, scene: np.ndarray, orientation: int) -> None:
    stored = Image.fromarray(scene)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that the orientation's reader reverses
    if orientation in undo:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    picture = read_picture(tmp_path / "a.jpg")
    assert (picture.width, picture.height) == (60, 40)
    assert corner(picture.rgb) == (0, 0)


def test_the_focal_length_of_exif_becomes_a_camera(tmp_path: Path, scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 36  # 35 mm equivalent
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=exif)
    camera = read_picture(tmp_path / "a.jpg").camera
    assert camera is not None
    assert camera.source == "exif"
    assert camera.fx == pytest.approx(36 / np.hypot(36, 24) * np.hypot(60, 40), rel=1e-3)


def test_a_picture_of_one_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").rgb.tolist() == [[[9, 8, 7]]]


def test_200_megapixels_are_read_and_pillow_keeps_its_limit(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    Image.new("L", (20000, 10000)).save(tmp_path / "large.png", compress_level=1)
    assert read_picture(tmp_path / "large.png").rgb.shape == (10000, 20000, 3)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (300, 300)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 300 * 299)
    with pytest.raises(PictureError, match=r"300 x 300 pixels are more than the limit"):
        read_picture(tmp_path / "bomb.png")


def _truncated(path: Path, scene: np.ndarray) -> None:
    noisy = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noisy).save(path)
    path.write_bytes(path.read_bytes()[:-9000])


BAD_FILES = {
    "text.jpg": lambda p, s: p.write_text("not a picture"),
    "empty.png": lambda p, s: p.touch(),
    "truncated.jpg": _truncated,
    "truncated.png": _truncated,
    "folder.jpg": lambda p, s: p.mkdir(),
    "missing.jpg": lambda p, s: None,
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_unreadable_files_are_named_in_the_error(tmp_path: Path, scene: np.ndarray, name: str) -> None:
    BAD_FILES[name](tmp_path / name, scene)
    with pytest.raises(PictureError, match=f"cannot read .*{name}"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_arrays_of_uint8_are_taken(shape: tuple[int, ...]) -> None:
    assert read_picture(np.zeros(shape, np.uint8)).rgb.shape == (4, 5, 3)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 5, 3)), np.zeros((4, 5, 3), np.uint16), np.zeros((3, 4, 5), np.uint8), np.zeros((0, 5, 3), np.uint8)],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(PictureError, match="expected an RGB array"):
        read_picture(array)


def test_a_link_to_nothing_is_listed_so_that_it_is_reported(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "absent.jpg")
    assert list_pictures(tmp_path) == [tmp_path / "gone.jpg"]
    with pytest.raises(PictureError, match=r"cannot read .*gone\.jpg: no such file"):
        read_picture(tmp_path / "gone.jpg")


def test_an_empty_pattern_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match="file_type patterns must not be empty"):
        list_pictures(tmp_path, [""])


def test_pixels_are_counted_without_decoding(tmp_path: Path, scene: np.ndarray) -> None:
    Image.fromarray(scene).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])  # the header says it all
    assert pixels_of(tmp_path / "a.png") == 60 * 40
    assert pixels_of(scene) == 60 * 40
    assert pixels_of(tmp_path / "absent.png") == 0


def test_values_that_are_not_finite_turn_black(tmp_path: Path) -> None:
    values = np.full((4, 5), 0.5, np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "a.tif")
    rgb = read_picture(tmp_path / "a.tif").rgb
    assert rgb[0, :3].max() == 0
    assert rgb[1:].min() == rgb[1:].max() == 128


def test_listing_is_sorted_and_knows_suffixes_in_capitals(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.txt", ".hidden.jpg"):
        (tmp_path / name).touch()
    assert [f.name for f in list_pictures(tmp_path)] == ["a.png", "b.JPG"]
    assert [f.name for f in list_pictures(tmp_path, ["*.jpg"])] == ["b.JPG"]
    assert list_pictures(tmp_path / "a.png") == [tmp_path / "a.png"]
    with pytest.raises(PictureError, match="nothing exists"):
        list_pictures(tmp_path / "absent")
