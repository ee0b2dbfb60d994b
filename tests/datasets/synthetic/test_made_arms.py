"""Arms behind made hands: joined to the wrist without a gap, clear of the palm, coloured like the hand."""

from __future__ import annotations

import numpy as np
import pytest

from hamer.checkpoints.hand_files import load_open_hand
from hamer.datasets.synthetic.arms import dress as dress_module
from hamer.datasets.synthetic.arms.arm_textures import arm_texture
from hamer.datasets.synthetic.arms.dress import Band, Dress
from hamer.datasets.synthetic.arms.forearm import LENGTHS, forearm
from hamer.datasets.synthetic.arms.wrists import Wrist, boundary_loop
from hamer.datasets.synthetic.drawing.surfaces import FOREARM, Surface
from hamer.datasets.synthetic.skin import bank as skin_module
from hamer.datasets.synthetic.skin.bank import Skin, SkinBank
from hamer.hand_models.arrays import HandModelArrays

SIZE = 128


@pytest.fixture(scope="module")
def arrays() -> HandModelArrays:
    return load_open_hand()


@pytest.fixture(scope="module")
def bank(arrays: HandModelArrays) -> SkinBank:
    return SkinBank(arrays, size=SIZE, count=1)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sleeves, bands or gloves."""
    for module, names in ((dress_module, ("SLEEVED", "BANDED")), (skin_module, ("GLOVED", "FINGERLESS"))):
        for name in names:
            monkeypatch.setattr(module, name, 0.0)


def posed(arrays: HandModelArrays, seed: int) -> np.ndarray:
    """The rest hand turned at random, half a metre before the camera."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.sign(np.linalg.det(q))
    return (arrays.v_template @ q.T + [0.02, -0.01, 0.5]).astype(np.float32)


def skin_and_arm(bank: SkinBank, arrays: HandModelArrays, seed: int) -> tuple[Skin, Surface, np.ndarray]:
    skin_rng, arm_rng = np.random.default_rng([4, seed]).spawn(2)
    hand = posed(arrays, seed)
    skin = bank.draw(skin_rng)
    return skin, forearm(hand, arrays, skin, arm_rng), hand


def test_loop_is_the_meshs_open_edge(arrays: HandModelArrays) -> None:
    loop, owners = boundary_loop(arrays.faces)
    assert set(loop) == set(arrays.wrist_faces.ravel())  # the closing faces span the same loop
    following = np.roll(loop, -1)
    for a, b, face in zip(loop, following, arrays.faces[owners], strict=True):
        assert {a, b} <= set(face)
    with pytest.raises(ValueError, match="open"):
        boundary_loop(arrays.closed_faces)


def test_motion_is_the_hands_rotation(arrays: HandModelArrays) -> None:
    wrist = Wrist.of(arrays)
    for seed in range(3):
        turned = posed(arrays, seed)
        expected = np.linalg.lstsq(arrays.v_template - arrays.v_template.mean(0), turned - turned.mean(0), rcond=None)[
            0
        ].T
        np.testing.assert_allclose(wrist.motion(turned), expected, atol=1e-4)  # float32 vertices


@pytest.mark.parametrize("seed", range(12))
def test_arm_joins_at_the_loop(bank: SkinBank, arrays: HandModelArrays, seed: int) -> None:
    _, arm, hand = skin_and_arm(bank, arrays, seed)
    loop = Wrist.of(arrays).loop
    np.testing.assert_array_equal(arm.vertices[: len(loop)], hand[loop])
    assert (arm.labels == FOREARM).all()
    # Both meshes turn the same side outward: an edge of the loop runs one way in the hand, the other way in the arm.
    edges = {tuple(edge) for edge in arm.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).tolist()}
    for k in range(len(loop)):
        assert ((k + 1) % len(loop), k) in edges


@pytest.mark.parametrize("seed", range(12))
def test_tube_is_closed_but_for_the_loop(bank: SkinBank, arrays: HandModelArrays, seed: int) -> None:
    _, arm, _ = skin_and_arm(bank, arrays, seed)
    loop, _ = boundary_loop(arm.faces)
    assert sorted(loop) == list(range(len(Wrist.of(arrays).loop)))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("seed", range(24))
def test_bare_arm_stays_clear_of_the_hand(bank: SkinBank, arrays: HandModelArrays, seed: int) -> None:
    _, arm, hand = skin_and_arm(bank, arrays, seed)
    wrist = Wrist.of(arrays)
    rotation, start = wrist.motion(hand), hand[wrist.loop].mean(axis=0)
    local = (arm.vertices - start) @ rotation  # rest axes: the hand lies toward -x
    rest_hand = (hand - start) @ rotation
    count = len(wrist.loop)
    beyond = local[2 * count :]
    # The loop is not plane: its outermost vertices lie some millimetres behind its middle.
    assert beyond[:, 0].min() > rest_hand[wrist.loop, 0].min() - 0.006
    reach = np.linalg.norm(local, axis=1).max()
    assert 0.7 * LENGTHS[0] < reach < LENGTHS[1] + 0.05  # a bent elbow comes nearer


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("seed", range(6))
def test_bare_skin_continues_the_hands_colour(bank: SkinBank, arrays: HandModelArrays, seed: int) -> None:
    skin, arm, _ = skin_and_arm(bank, arrays, seed)
    wrist = Wrist.of(arrays)
    texel = np.clip((wrist.uv * SIZE).astype(int), 0, SIZE - 1)
    of_hand = skin.albedo[texel[:, 1], texel[:, 0]].astype(int)
    side = len(arm.albedo)
    columns = np.clip((np.arange(len(wrist.loop)) / len(wrist.loop) * side).astype(int), 0, side - 1)
    of_arm = arm.albedo[0, columns].astype(int)
    assert np.median(np.abs(of_hand - of_arm)) <= 8  # sampling a spotted texture of 1.5 mm a texel
    assert arm.gloss == skin.gloss


def test_sleeves_are_wider_than_the_arm(
    bank: SkinBank, arrays: HandModelArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = {}
    for share in (0.0, 1.0):
        monkeypatch.setattr(dress_module, "SLEEVED", share)
        monkeypatch.setattr(dress_module, "BANDED", 0.0)
        monkeypatch.setattr(skin_module, "GLOVED", 0.0)
        spans = []
        for seed in range(6):
            _, arm, _ = skin_and_arm(bank, arrays, seed)
            ring = arm.vertices[-len(Wrist.of(arrays).loop) - 1 : -1]
            spans.append(np.linalg.norm(ring - ring.mean(axis=0), axis=1).mean())
        widths[share] = np.mean(spans)
    assert widths[1.0] > widths[0.0] + 0.002


@pytest.mark.usefixtures("bare")
def test_watches_are_worn_on_the_back(bank: SkinBank, arrays: HandModelArrays) -> None:
    skin, wrist = bank.draw(np.random.default_rng(0)), Wrist.of(arrays)
    strap, face = np.array([10.0, 10, 200]), np.array([10.0, 200, 10])
    dress = Dress(band=Band(0.015, 0.037, 0.0025, strap, face))
    profile = dress.profile(0.3)
    albedo, _ = arm_texture(skin, wrist, profile, dress, np.random.default_rng(1))
    row, column = np.nonzero((np.abs(albedo - face) <= 2).all(axis=-1))
    s = np.interp((row + 0.5) / len(albedo), profile.v, profile.s)
    assert 0.015 < s.min() < 0.022 < 0.030 < s.max() < 0.037
    assert wrist.dorsal[(column * len(wrist.loop)) // len(albedo)].min() > 0.6  # half the face is 25 degrees wide
    around = (np.abs(albedo - strap) <= 2).all(axis=-1).any(axis=0)
    assert around.mean() > 0.7


def test_same_generator_same_arm(bank: SkinBank, arrays: HandModelArrays) -> None:
    first, second = (skin_and_arm(bank, arrays, 3)[1] for _ in range(2))
    assert (first.vertices == second.vertices).all()
    assert (first.albedo == second.albedo).all()
    other = skin_and_arm(bank, arrays, 4)[1]
    assert first.vertices.shape != other.vertices.shape or (first.vertices != other.vertices).any()
