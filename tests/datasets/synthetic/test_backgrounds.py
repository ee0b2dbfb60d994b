"""Backgrounds repeat, have the asked size, differ widely, and survive folders with bad files."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hamer.datasets.synthetic.backgrounds import procedural
from hamer.datasets.synthetic.backgrounds.backgrounds import LONGEST_SIDE, Backgrounds, random_crop
from hamer.datasets.synthetic.materials import fields, palettes
from hamer.errors import PictureError


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def good_files(folder: Path) -> int:
    """Pictures of many forms, each readable; their number."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "deeper").mkdir()
    Image.fromarray(noise(90, 120)).save(folder / "colour.jpg")
    Image.fromarray(noise(90, 120)[..., 0]).save(folder / "grey.png")
    Image.fromarray(noise(90, 120)[..., 0].astype(np.uint16) * 257).save(folder / "deeper" / "sixteen.png")
    Image.fromarray(np.dstack([noise(90, 120), noise(90, 120)[..., 0]])).save(folder / "alpha.png")
    Image.fromarray(noise(100, 3000)).save(folder / "long.webp")
    return 5


def bad_files(folder: Path) -> int:
    """Files with a picture's name that hold none that could be used; their number."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(200, 200)).save(folder / "whole.jpg")
    content = (folder / "whole.jpg").read_bytes()
    (folder / "whole.jpg").unlink()
    (folder / "truncated.jpg").write_bytes(content[: len(content) // 2])
    (folder / "text.png").write_text("no picture")
    (folder / "empty.jpg").touch()
    Image.fromarray(noise(10, 10)).save(folder / "icon.png")
    (folder / "readme.txt").write_text("not looked at")
    return 4


def test_bad_files_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = good_files(tmp_path), bad_files(tmp_path)
    with caplog.at_level(logging.WARNING):
        made = Backgrounds(tmp_path, share=1.0)
    assert len(made.pictures) == good
    warnings = [r.getMessage() for r in caplog.records if "background left out" in r.getMessage()]
    assert len(warnings) == bad
    for name in ("truncated.jpg", "text.png", "empty.jpg", "icon.png"):
        assert any(name in text for text in warnings), name
    for picture in made.pictures:
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert max(picture.shape[:2]) <= LONGEST_SIDE


def test_a_folder_of_bad_files_is_an_error(tmp_path: Path) -> None:
    bad_files(tmp_path)
    with pytest.raises(PictureError, match=r"of 4 files with a picture's name.* none could be read"):
        Backgrounds(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="must be a folder of pictures"):
        Backgrounds(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("options", "message"), [({"share": 1.2}, "share must be in 0..1"), ({"max_pictures": 0}, "at least 1")]
)
def test_wrong_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Backgrounds(None, **options)  # type: ignore[arg-type]


def test_many_pictures_are_thinned_out(tmp_path: Path) -> None:
    for i in range(7):
        Image.fromarray(np.full((70, 70, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    kept = [int(p[0, 0, 0]) for p in Backgrounds(tmp_path, max_pictures=3).pictures]
    assert kept == [0, 3, 6]


def test_links_to_one_file_count_once(tmp_path: Path) -> None:
    good_files(tmp_path / "pictures")
    before = len(Backgrounds(tmp_path).pictures)
    (tmp_path / "again.jpg").symlink_to(tmp_path / "pictures" / "colour.jpg")
    assert len(Backgrounds(tmp_path).pictures) == before


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_draws_repeat_and_are_independent(tmp_path: Path, share: float) -> None:
    good_files(tmp_path)
    made, again = Backgrounds(tmp_path, share=share), Backgrounds(tmp_path, share=share)
    wanted = [made.draw(64, 48, np.random.default_rng([3, i])) for i in range(30)]
    for i in reversed(range(30)):
        np.testing.assert_array_equal(again.draw(64, 48, np.random.default_rng([3, i])), wanted[i])
    kept = [p.copy() for p in made.pictures]
    made.draw(64, 48, np.random.default_rng(0))
    assert all((a == b).all() for a, b in zip(made.pictures, kept, strict=True))


@pytest.mark.parametrize(("width", "height"), [(256, 256), (320, 61), (65, 240), (16, 16), (640, 480)])
@pytest.mark.parametrize("painter", procedural.PAINTERS, ids=lambda p: p.__name__)
def test_every_painter_has_any_size(painter: procedural.Painter, width: int, height: int) -> None:
    for seed in range(4):
        rngs = [np.random.default_rng([seed]) for _ in range(2)]
        picture, again = (procedural.finish(painter(width, height, rng), rng) for rng in rngs)
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, again)


def test_painted_backgrounds_differ_widely() -> None:
    pictures = np.stack([Backgrounds().draw(64, 64, np.random.default_rng([1, i])) for i in range(150)]).astype(float)
    brightness, contrast = pictures.mean((1, 2, 3)), pictures.std((1, 2)).mean(1)
    assert np.percentile(brightness, 5) < 70
    assert np.percentile(brightness, 95) > 165
    assert (contrast < 12).mean() > 0.03  # plain ones
    assert (contrast > 50).mean() > 0.1  # busy ones
    # No two alike: 8 grey levels of mean difference is what a copy with other grading would have at least.
    small = pictures.reshape(150, 8, 8, 8, 8, 3).mean((2, 4)).reshape(150, -1)
    apart = np.abs(small[:, None] - small[None]).mean(-1)[np.triu_indices(150, 1)]
    assert np.median(apart) > 40


def test_skin_colour_is_in_backgrounds_too() -> None:
    """A network must not find hands by their colour: a share of the painted pixels is as reddish as skin."""
    pictures = np.stack([Backgrounds().draw(64, 64, np.random.default_rng([2, i])) for i in range(200)]).astype(float)
    r, g, b = np.moveaxis(pictures, -1, 0)
    skin = (r > 60) & (r > 1.1 * g) & (g > 1.05 * b) & (r < 2.5 * b)
    assert skin.mean() > 0.03
    assert (skin.mean((1, 2)) > 0.2).mean() > 0.04


def test_crops_are_parts_of_the_picture() -> None:
    """A picture whose colours are its coordinates tells where each crop is from: inside, and unstretched."""
    rows, columns = np.indices((200, 250))
    picture = np.dstack([columns, rows, np.zeros_like(rows)]).astype(np.uint8)
    for seed in range(40):
        crop = random_crop(picture, 50, 50, np.random.default_rng(seed)).astype(float)
        across = np.abs(crop[25, 45, 0] - crop[25, 5, 0])
        down = np.abs(crop[45, 25, 1] - crop[5, 25, 1])
        assert abs(across - down) <= 4  # the crop's size in whole pixels, and grey levels are whole: 2 each
        assert across >= 0.5 * 40 - 2  # never magnified more than twofold


def test_fields_are_fixed_and_repeat_at_their_borders() -> None:
    made = fields.fields()
    assert set(made) == set(fields.NAMES)
    for name, field in made.items():
        assert field.shape == (fields.SIDE, fields.SIDE)
        assert field.std() > 8, name
    np.testing.assert_array_equal(fields.fields.__wrapped__()["clouds"], made["clouds"])
    # The step over the border is like those inside, so that windows across it show no seam.
    seam, inside = (np.abs(a.astype(int) - b).mean() for a, b in ((made["clouds"][0], made["clouds"][-1]),
                                                                  (made["clouds"][1:], made["clouds"][:-1])))  # fmt: skip
    assert seam < 3 * inside


def test_ramps_and_colours() -> None:
    rng = np.random.default_rng(0)
    for material in palettes.MATERIALS:
        assert palettes.ramp(rng, material).shape == (256, 3)
        tints = np.array([palettes.color(rng, material) for _ in range(20)])
        assert tints.min() >= 0
        assert tints.max() <= 255
    skin = np.array([palettes.color(rng, "skin") for _ in range(50)])
    assert (skin[:, 0] > skin[:, 1]).all()
    assert (skin[:, 1] > skin[:, 2]).all()
    field = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colors = palettes.ramp(rng)
    np.testing.assert_array_equal(palettes.colored(field, colors).reshape(-1, 3), colors)


def test_dull_parts_of_pictures_are_rare(tmp_path: Path) -> None:
    half = np.full((400, 800, 3), 128, np.uint8)
    half[:, 500:] = noise(400, 300)
    Image.fromarray(half).save(tmp_path / "half.png")
    made = Backgrounds(tmp_path, share=1.0)
    dull = [made._crop(64, 64, np.random.default_rng(i)).std() < 5 for i in range(100)]
    alone = [random_crop(half, 64, 64, np.random.default_rng(i)).std() < 5 for i in range(100)]
    assert np.mean(dull) < 0.6 * np.mean(alone)
    assert any(dull)  # plain walls exist
