"""Skins of made hands: human colours, anatomy in its place, no seams, chance that can be repeated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from hamer.checkpoints.hand_files import load_open_hand
from hamer.datasets.synthetic.hands.posed_hand import HandCloth
from hamer.datasets.synthetic.skin import adornments, gloves
from hamer.datasets.synthetic.skin import bank as skin_module
from hamer.datasets.synthetic.skin.bank import Skin, SkinBank
from hamer.datasets.synthetic.skin.tones import (
    ITA_RANGE,
    draw_tone,
    lab_to_linear,
    log_srgb,
    srgb_to_linear,
    to_srgb,
)
from hamer.datasets.synthetic.skin.unwrapping import hand_uv
from hamer.geometry.mirroring import mirror_points
from hamer.hand_models.arrays import HandModelArrays

SIZE = 128
# IEC 61966-2-1: XYZ of linear sRGB, D65.
RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Linear sRGB (..., 3) to CIELAB (..., 3), D65: the inverse of `lab_to_linear`."""
    xyz = np.asarray(rgb, np.float64) @ RGB_TO_XYZ.T / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


@pytest.fixture(scope="module")
def arrays() -> HandModelArrays:
    return load_open_hand()


@pytest.fixture(scope="module")
def bank(arrays: HandModelArrays) -> SkinBank:
    return SkinBank(arrays, size=SIZE, count=2)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No gloves."""
    monkeypatch.setattr(skin_module, "GLOVED", 0.0)
    monkeypatch.setattr(skin_module, "FINGERLESS", 0.0)


def draw(bank: SkinBank, seed: int) -> Skin:
    return bank.draw(np.random.default_rng([3, seed]))


def lab_of(skin: Skin, bank: SkinBank, where: np.ndarray) -> np.ndarray:
    """Median CIELAB (3,) over some of the used texels."""
    colors = skin.albedo.reshape(-1, 3)[bank.texels.index[where]]
    return np.median(linear_to_lab(srgb_to_linear(colors)), axis=0)


def test_colour_spaces_invert_each_other() -> None:
    lab = np.array([[70.0, 9.0, 15.0], [30.0, 9.0, 11.0], [50.0, 14.0, 20.0]])
    np.testing.assert_allclose(linear_to_lab(lab_to_linear(lab)), lab, atol=1e-9)
    np.testing.assert_allclose(lab_to_linear(np.array([100.0, 0, 0])), 1, atol=2e-4)  # the white point's rounding
    levels = np.arange(8, 256)
    # One level of 255: the table has 512 steps per factor e, about three per level of light skin.
    assert np.abs(to_srgb(np.log(srgb_to_linear(levels))).astype(int) - levels).max() <= 1


def test_tones_cover_the_human_range_and_no_more() -> None:
    tones = [draw_tone(np.random.default_rng([1, i])) for i in range(400)]
    back, palm = (linear_to_lab(np.exp([getattr(tone, name) for tone in tones])) for name in ("back", "palm"))
    for lab in (back, palm):
        assert lab[:, 0].min() > 25
        assert lab[:, 0].max() < 78
        assert lab[:, 1].min() > 5  # never grey or green: blood is red
        assert lab[:, 1].max() < 24
        assert lab[:, 2].min() > 5  # never blue
        assert lab[:, 2].max() < 28
    ita = np.rad2deg(np.arctan2(back[:, 0] - 50, back[:, 2]))
    counts, _ = np.histogram(ita, bins=4, range=ITA_RANGE)
    assert counts.min() > 60  # 100 are expected in each quarter, from very light to dark


def test_palms_are_lighter_the_darker_the_skin() -> None:
    tones = [draw_tone(np.random.default_rng([2, i])) for i in range(300)]
    gain = np.array([linear_to_lab(np.exp(t.palm))[0] - linear_to_lab(np.exp(t.back))[0] for t in tones])
    dark = np.array([t.darkness for t in tones])
    assert gain[dark > 0.7].min() > 5
    assert gain[dark > 0.7].mean() > gain[dark < 0.3].mean() + 8


@pytest.mark.usefixtures("bare")
def test_textures_keep_the_drawn_tone(bank: SkinBank) -> None:
    back = (bank.places.back > 0.9) & (bank.texels.finger < 0)
    for seed in range(12):
        skin = draw(bank, seed)
        lab = lab_of(skin, bank, back)
        tone = linear_to_lab(np.exp(skin.tone.back))
        # Blood, spots and shade of wrinkles move a median by a few units; 12 is the step between two skin types.
        assert np.abs(lab - tone).max() < 12
        assert lab[1] > 2
        assert lab[2] > 2


def test_shapes_and_units(bank: SkinBank) -> None:
    skin = draw(bank, 0)
    assert skin.albedo.shape == (SIZE, SIZE, 3)
    assert skin.albedo.dtype == np.uint8
    assert skin.relief.shape == (SIZE, SIZE)
    assert skin.relief.dtype == np.float32
    assert 1e-5 < np.abs(skin.relief).max() < 2e-3  # wrinkles and rings, not hills
    assert 0 <= skin.gloss <= 1


def test_same_generator_same_skin(bank: SkinBank, arrays: HandModelArrays) -> None:
    first = draw(bank, 5)
    draw(bank, 6)
    for other in (draw(bank, 5), draw(SkinBank(arrays, size=SIZE, count=2), 5)):
        assert (first.albedo == other.albedo).all()
        assert (first.relief == other.relief).all()
        assert (first.gloss, first.hair, first.cover) == (other.gloss, other.hair, other.cover)
    assert (first.albedo != draw(bank, 6).albedo).any()


def test_nails_lie_on_the_backs_of_last_phalanges(bank: SkinBank, arrays: HandModelArrays) -> None:
    nails, texels = bank.nails, bank.texels
    plate = nails.texel[nails.plate > 0.5]
    part = texels.weights[plate].argmax(axis=1)
    for f in range(5):
        on_finger = nails.finger[nails.plate > 0.5] == f
        assert on_finger.sum() >= 8
        assert (part[on_finger] == 3 * f + 3).all()
    assert texels.dorsal[plate].min() > 0
    tips = texels.anatomy.nodes[nails.finger[nails.plate > 0.5], 3]
    assert np.linalg.norm(texels.position[plate] - tips, axis=1).max() < 0.022  # a thumb's nail is up to 16 mm long


@pytest.mark.usefixtures("bare")
def test_creases_darken_the_palm_side_of_finger_joints(bank: SkinBank) -> None:
    texels = bank.texels
    middle = texels.anatomy.reach[0, 1]
    pad = (texels.finger == 0) & (bank.places.palm > 0.9)
    at_joint = pad & (np.abs(texels.along - middle) < 0.002)
    between = pad & (np.abs(texels.along - middle - 0.010) < 0.003)
    for seed in range(5):
        skin = draw(bank, seed)
        assert lab_of(skin, bank, at_joint)[0] < lab_of(skin, bank, between)[0]


@pytest.mark.usefixtures("bare")
def test_no_seam_between_the_halves(arrays: HandModelArrays) -> None:
    """Texels on both sides of the cut, at the same vertices, have the same colour but for the texture's fineness."""
    size = 256
    bank = SkinBank(arrays, size=size, count=1)
    uv, uv_faces = hand_uv(arrays)
    places: dict[int, set[int]] = {}
    for vertex, point in zip(arrays.faces.ravel().tolist(), uv_faces.ravel().tolist(), strict=True):
        places.setdefault(vertex, set()).add(point)
    cut = np.array([sorted(points) for points in places.values() if len(points) == 2])
    assert len(cut) > 100
    texel = np.clip((uv[cut] * size).astype(int), 0, size - 1)
    near = np.stack([texel + np.array([dx, dy]) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]).clip(0, size - 1)
    for seed in range(4):
        colors = draw(bank, seed).albedo.astype(int)
        around = colors[near[..., 1], near[..., 0]]  # (9, N, 2, 3)
        # The palm's border runs along the cut, and a texel is about a millimetre: one side's colour must be found within
        # a texel of the same place on the other side, up to 6 levels of fine texture.
        for one, other in ((0, 1), (1, 0)):
            here = around[4, :, one]
            low, high = around[:, :, other].min(axis=0) - 6, around[:, :, other].max(axis=0) + 6
            assert ((here >= low) & (here <= high)).all(axis=-1).mean() > 0.9


def test_padding_continues_the_skin(bank: SkinBank) -> None:
    """Filtering near a border of the layout never finds the empty background."""
    uv, _ = hand_uv(load_open_hand())
    filled = np.zeros(SIZE * SIZE, bool)
    filled[bank.texels.index] = True
    filled = filled.reshape(SIZE, SIZE)
    corner = np.floor(uv * SIZE - 0.5).astype(int)
    for dx in (0, 1):
        for dy in (0, 1):
            assert filled[np.clip(corner[:, 1] + dy, 0, SIZE - 1), np.clip(corner[:, 0] + dx, 0, SIZE - 1)].all()


@pytest.mark.parametrize(("gloved", "fingerless", "cover"), [(1.0, 0.0, "glove"), (0.0, 1.0, "fingerless")])
def test_gloves_cover_what_they_should(
    bank: SkinBank, monkeypatch: pytest.MonkeyPatch, gloved: float, fingerless: float, cover: str
) -> None:
    texels = bank.texels
    tips = texels.anatomy.reach[texels.nearest, 3] - texels.along < 0.02
    tips &= texels.finger >= 0
    for seed in range(6):
        monkeypatch.setattr(skin_module, "GLOVED", 0.0)
        monkeypatch.setattr(skin_module, "FINGERLESS", 0.0)
        without = draw(bank, seed).albedo.reshape(-1, 3)[texels.index]
        monkeypatch.setattr(skin_module, "GLOVED", gloved)
        monkeypatch.setattr(skin_module, "FINGERLESS", fingerless)
        skin = draw(bank, seed)
        worn = skin.albedo.reshape(-1, 3)[texels.index]
        assert skin.cover == cover
        assert skin.cuff is not None
        assert (worn != without).any(axis=1)[texels.finger < 0].mean() > 0.9
        assert (worn != without).any(axis=1)[tips].any() == (cover == "glove")


def test_thick_gloves_stand_off_the_skin(arrays: HandModelArrays, bank: SkinBank) -> None:
    """By their thickness away from the wrist and outwards; at the wrist, where the arm begins, not at all."""
    cloth = HandCloth(arrays)
    skin = replace(draw(bank, 0), thickness=0.005)
    bare = replace(skin, thickness=0.0)
    vertices = np.asarray(arrays.v_template, np.float32)
    for mirrored in (False, True):
        own = mirror_points(vertices) if mirrored else vertices
        on, under = (cloth.surface(own, worn, mirrored=mirrored) for worn in (skin, bare))
        apart = np.linalg.norm(on.vertices - under.vertices, axis=1)
        fingers = np.flatnonzero(arrays.lbs_weights[:, 1:].sum(1) > 0.99)
        np.testing.assert_allclose(apart[fingers], 0.005, atol=1e-6)
        np.testing.assert_allclose(apart[cloth.rim], 0.0, atol=1e-9)
        np.testing.assert_allclose(apart[len(vertices) :], 0.0, atol=1e-9)  # the lid that closes the wrist
        grown, before = (trimesh.Trimesh(s.vertices, s.faces, process=False).volume for s in (on, under))
        assert abs(grown) > 1.2 * abs(before)


@pytest.mark.parametrize("material", ["rubber", "wool", "leather", "work", "padded"])
def test_every_material_makes_a_glove(bank: SkinBank, monkeypatch: pytest.MonkeyPatch, material: str) -> None:
    monkeypatch.setattr(gloves, "MATERIALS", (material,))
    low, high = gloves.THICKNESS[material]
    thick = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        glove = gloves.draw_glove(bank.texels, np.zeros((2, len(bank.texels.index)), np.float32), rng, fingerless=False)
        assert np.isfinite(glove.colors).all()
        assert np.isfinite(glove.relief).all()
        assert low <= glove.thickness <= high
        assert 0 <= glove.gloss <= 1
        thick.append(glove.thickness)
    assert len(set(thick)) == 4


def test_gloves_without_fingers_are_thin(bank: SkinBank) -> None:
    noise = np.zeros((2, len(bank.texels.index)), np.float32)
    drawn = [gloves.draw_glove(bank.texels, noise, np.random.default_rng(s), fingerless=True) for s in range(6)]
    assert all(glove.thickness == 0 for glove in drawn)


def adorned(bank: SkinBank, monkeypatch: pytest.MonkeyPatch, name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log colours (3, M) and relief (M,) of a white and flat hand that wears one kind of thing."""
    for share in ("RINGED", "PLASTERED", "TATTOOED", "DIRTY"):
        monkeypatch.setattr(adornments, share, float(share == name))
    m = len(bank.texels.index)
    colors, relief = np.zeros((3, m), np.float32), np.zeros(m, np.float32)
    bank.adornments.put_on(colors, relief, np.zeros((2, m), np.float32), np.random.default_rng([6, seed]))
    return colors, relief


def test_tattoos_are_mostly_on_the_back(bank: SkinBank, monkeypatch: pytest.MonkeyPatch) -> None:
    on_back: list[bool] = []
    for seed in range(60):
        inked = adorned(bank, monkeypatch, "TATTOOED", seed)[0].min(axis=0) < -0.1
        sides = set(bank.texels.dorsal[inked] > 0)
        assert len(sides) <= 1  # not through the hand
        on_back += sides
    assert len(on_back) > 50  # the others' strokes are finer than this texture
    assert np.mean(on_back) > 0.8  # four of five begin on the back, and half of the others


def test_rings_go_around_fingers_below_the_middle_joint(bank: SkinBank, monkeypatch: pytest.MonkeyPatch) -> None:
    texels = bank.texels
    for seed in range(20):
        metal = adorned(bank, monkeypatch, "RINGED", seed)[1] > 4e-4
        fingers = set(texels.finger[metal])
        assert 1 <= len(fingers) <= 3
        for finger in fingers - {4}:
            own = metal & (texels.finger == finger)
            low, high = texels.along[own].min(), texels.along[own].max()
            assert 0.5 * texels.anatomy.reach[finger, 1] < low < high < texels.anatomy.reach[finger, 1]
            assert texels.dorsal[own].min() < -0.7
            assert texels.dorsal[own].max() > 0.7


@pytest.mark.parametrize(("size", "count"), [(16, 4), (64, 0)])
def test_bad_sizes_are_refused(arrays: HandModelArrays, size: int, count: int) -> None:
    with pytest.raises(ValueError, match="SkinBank needs"):
        SkinBank(arrays, size=size, count=count)


def test_log_colours_of_black_are_finite() -> None:
    assert np.isfinite(log_srgb((0, 0, 0))).all()
