"""Things are sound bodies, fit the hands that hold them, and hide what they shall."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.things import shapes, wares
from hamer.datasets.synthetic.things.grasps import FINGERS, grasps
from hamer.datasets.synthetic.things.holding import held_object
from hamer.datasets.synthetic.things.occluders import HIDDEN, occluder
from hamer.datasets.synthetic.things.shapes import Shape
from hamer.datasets.synthetic.vectors import uniform_rotation
from hamer.rendering import render
from hamer.rendering.meshes import Mesh
from hamer.structures import Camera

Generator = np.random.Generator
CAMERA = Camera(400.0, 400.0, 128.0, 128.0)
CAMERA_MATRIX = np.array([[400.0, 0, 128], [0, 400, 128], [0, 0, 1]])


def hand(bend: float, spread: float = 0.02, thumb: float = 0.5, seed: int | None = None) -> np.ndarray:
    """A right hand (21, 3) metres half a metre before the camera, its palm towards it, fingers up.

    Each finger's joints are bent by `bend` radians towards the camera; the thumb is swung by `thumb` before the palm.
    """
    joints = np.zeros((21, 3))
    for row, (finger, reach) in enumerate(zip(FINGERS, (0.92, 1.0, 0.94, 0.76), strict=True)):
        # The right palm faces the camera and the fingers point up: the index finger is at the picture's right.
        point = np.array([(1.2 - row) * (0.02 + 0.2 * spread), -0.095, 0.0])
        angle = 0.0
        for joint, bone in zip(finger, (0.045, 0.027, 0.022, 0.0), strict=True):
            joints[joint] = point
            angle += bend
            point = point + bone * reach * np.array([0, -np.cos(angle), -np.sin(angle)])
    heading = np.array([np.cos(thumb), -0.8, -np.sin(thumb)]) / np.linalg.norm([np.cos(thumb), 0.8, np.sin(thumb)])
    for joint, along in enumerate((0.03, 0.065, 0.095, 0.12), start=1):
        joints[joint] = heading * along
    if seed is not None:
        joints += np.random.default_rng(seed).normal(0, 0.002, joints.shape)
    return joints + np.array([0, 0.05, 0.5])


HANDS = [hand(bend, thumb=thumb, seed=i) for i, (bend, thumb) in enumerate(
    (b, t) for b in (0.02, 0.3, 0.5, 0.65, 0.85, 1.1) for t in (0.2, 0.8, 1.4)
)]  # fmt: skip


def sound(shape: Shape | Surface) -> trimesh.Trimesh:
    """The mesh, after checking that it is closed, faces outwards and has texture coordinates for every corner."""
    vertices, faces = np.asarray(shape.vertices, np.float64), np.asarray(shape.faces)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    for part in mesh.split(only_watertight=False):
        assert part.volume > 0, "faces look inwards"
    assert np.isfinite(shape.uv).all()
    assert shape.uv.min() >= 0
    assert shape.uv.max() <= 1
    assert shape.uv_faces.shape == shape.faces.shape
    assert shape.uv_faces.min() >= 0
    assert shape.uv_faces.max() < len(shape.uv)
    assert faces.max() == len(vertices) - 1
    return mesh


SHAPES = {
    "cylinder": lambda: shapes.lathe(np.array([[0, -0.1], [0.03, -0.1], [0.03, 0.1], [0, 0.1]])),
    "vase": lambda: shapes.lathe(np.array([[0, -0.1], [0.03, -0.1], [0.01, 0], [0.03, 0.1], [0.02, 0.1], [0.0, 0.0]])),
    "tube": lambda: shapes.tube(np.array([[0, 0, -0.1], [0, 0.02, 0], [0, 0, 0.1]]), np.array([0.01, 0.02, 0.01])),
    "box": lambda: shapes.box(np.array([0.1, 0.2, 0.3])),
    "round box": lambda: shapes.box(np.array([0.1, 0.2, 0.3]), 0.02),
    "pillow": lambda: shapes.box(np.array([0.07, 0.008, 0.15]), 0.004),
    "plate": lambda: shapes.plate(np.array([[0.1, 0], [0.1, 0.1], [-0.1, 0.1], [-0.1, -0.1], [0.1, -0.1]]), 0.002),
    "bent plate": lambda: shapes.plate(np.array([[0.1, 0.0], [0, 0.2], [-0.1, 0], [0, -0.2]]), 0.002, bend=3.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_sound(name: str) -> None:
    shape = SHAPES[name]()
    mesh = sound(shape)
    assert shape.volume() == pytest.approx(mesh.volume, rel=1e-9)  # two sums of the same products
    turned = shape.moved(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([1.0, 2, 3]))
    assert turned.volume() == pytest.approx(shape.volume(), rel=1e-6)  # far from the origin digits cancel


def test_shapes_have_their_sizes() -> None:
    box = shapes.box(np.array([0.1, 0.2, 0.3]), 0.01)
    np.testing.assert_allclose(np.ptp(box.vertices, axis=0), (0.1, 0.2, 0.3), atol=1e-12)
    assert shapes.box(np.array([0.1, 0.2, 0.3])).volume() == pytest.approx(0.006)
    cylinder = SHAPES["cylinder"]()
    # 28 segments: the polygon has sin(2 pi / 28) * 28 / (2 pi) = 0.992 of the circle's area.
    assert cylinder.volume() == pytest.approx(np.pi * 0.03**2 * 0.2 * 0.9916, rel=1e-3)
    plate = SHAPES["plate"]()
    assert plate.volume() == pytest.approx(0.04 * 0.002, rel=1e-9)


def test_textures_lie_unmirrored_on_the_sides() -> None:
    """Seen from outside, u runs to the right where v runs down, so that writing can be read: the uv triangles turn alike."""
    for name in ("cylinder", "tube", "box", "round box"):
        shape = SHAPES[name]()
        a, b, c = (shape.uv[shape.uv_faces[:, i]] for i in range(3))
        turning = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
        # Counter-clockwise from outside is a negative turn where v runs down.
        assert (turning < 1e-12).all(), name


WARES = {
    "bottle": lambda rng: wares.bottle(0.03, rng), "can": lambda rng: wares.can(0.03, rng),
    "cup": lambda rng: wares.cup(0.04, rng), "stick": lambda rng: wares.stick(0.01, rng),
    "tool": lambda rng: wares.tool(0.01, rng), "pen": lambda rng: wares.pen(0.005, rng),
    "ball": lambda rng: wares.ball(0.03, rng), "carton": lambda rng: wares.carton(np.array([0.05, 0.02, 0.1]), rng),
    "phone": lambda rng: wares.phone(0.07, 0.008, rng), "card": lambda rng: wares.card(0.05, 0.08, rng),
    "leaf": lambda rng: wares.leaf(0.1, rng), "limb": wares.limb,
}  # fmt: skip


@pytest.mark.parametrize("name", WARES)
def test_wares_are_sound(name: str) -> None:
    for seed in range(15):
        ware = WARES[name](np.random.default_rng([6, seed]))
        sound(ware.shape)
        assert ware.albedo.shape == (wares.TEXELS, wares.TEXELS, 3)
        assert ware.albedo.dtype == np.uint8
        assert 0 <= ware.gloss <= 1
        assert 0.005 < np.ptp(ware.shape.vertices, axis=0).max() < 0.9


@pytest.mark.parametrize("name", ["bottle", "can", "ball", "pen", "stick"])
def test_round_wares_keep_to_their_room(name: str) -> None:
    radius = {"pen": 0.005, "stick": 0.01}.get(name, 0.03)
    for seed in range(15):
        vertices = WARES[name](np.random.default_rng(seed)).shape.vertices
        assert np.hypot(vertices[:, 0], vertices[:, 1]).max() < 1.01 * radius + (
            0.06 if name == "stick" else 0
        )  # sticks may be bent
        if name == "ball":
            assert np.linalg.norm(vertices, axis=1).max() < 1.01 * radius


def inside(points: np.ndarray, surface: Surface) -> np.ndarray:
    """(P,) whether points are within a closed mesh: its faces fill the whole view (van Oosterom and Strackee 1983)."""
    corners = surface.vertices[surface.faces].astype(np.float64)
    a, b, c = np.moveaxis(corners[None] - points[:, None, None], 2, 0)
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    det = np.einsum("pfi,pfi->pf", a, np.cross(b, c))
    low = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return 2 * np.arctan2(det, low).sum(1) > 2 * np.pi


def held(seeds: int = 6) -> list[tuple[np.ndarray, Surface]]:
    found = [
        (joints, held_object(joints, np.random.default_rng([i, s])))
        for i, joints in enumerate(HANDS)
        for s in range(seeds)
    ]
    return [(joints, surface) for joints, surface in found if surface is not None]


def test_held_things_are_sound_and_in_the_hand() -> None:
    pairs = held()
    assert len(pairs) > 60
    for joints, surface in pairs:
        sound(surface)
        assert surface.labels.sum() == 0
        apart = np.linalg.norm(joints[:, None] - surface.vertices[None], axis=-1).min()
        # Vertices lie up to some centimetres apart along straight walls.
        assert apart < 0.05, "nothing of it is near the hand"


def test_held_things_do_not_swallow_the_hand() -> None:
    swallowed = np.array([inside(joints, surface).sum() for joints, surface in held()])
    # Shapes are tilted a little after they were fitted: single joints (tips, mostly) may touch.
    assert swallowed.max() <= 3
    assert (swallowed == 0).mean() > 0.8


def test_grasps_move_with_the_hand() -> None:
    rotation, shift = uniform_rotation(np.random.default_rng(0)), np.array([0.1, -0.2, 0.3])
    for joints in HANDS:
        for grasp, moved in zip(grasps(joints), grasps(joints @ rotation.T + shift), strict=True):
            assert grasp.kind == moved.kind
            assert moved.room == pytest.approx(grasp.room, abs=1e-9)
            np.testing.assert_allclose(moved.centre, rotation @ grasp.centre + shift, atol=1e-9)
            np.testing.assert_allclose(moved.axes, rotation @ grasp.axes, atol=1e-9)
            np.testing.assert_allclose(grasp.axes.T @ grasp.axes, np.eye(3), atol=1e-9)
            assert np.linalg.det(grasp.axes) > 0


def test_grasps_grow_with_the_hand_and_are_mirrored_with_it() -> None:
    for joints in HANDS:
        for grasp, large in zip(grasps(joints), grasps(1.5 * joints), strict=True):
            assert large.room == pytest.approx(
                1.5 * grasp.room, rel=1e-6, abs=4e-4
            )  # thinnest cards have a least thickness
            np.testing.assert_allclose(large.centre, 1.5 * grasp.centre, atol=1e-9)
        mirror = np.array([-1.0, 1, 1])
        left = {grasp.kind: grasp for grasp in grasps(mirror * joints, is_right=False)}
        for grasp in grasps(joints):
            assert left[grasp.kind].room == pytest.approx(grasp.room, rel=1e-6)
            np.testing.assert_allclose(left[grasp.kind].centre, mirror * grasp.centre, atol=1e-9)


def test_poses_decide_what_is_held() -> None:
    kinds = {bend: {grasp.kind for grasp in grasps(hand(bend, thumb=0.8))} for bend in (0.0, 0.6)}
    assert "wrap" in kinds[0.6]
    assert "wrap" not in kinds[0.0]
    assert "flat" in kinds[0.0]
    assert "flat" not in kinds[0.6]
    wider = [next(g.room for g in grasps(hand(bend, thumb=0.2)) if g.kind == "wrap") for bend in (0.7, 0.9, 1.1)]
    assert wider == sorted(wider, reverse=True), "the tighter the fingers, the thinner the thing"


def test_things_lie_on_the_palm_of_fingers_bent_backwards_too() -> None:
    joints = hand(-0.1, thumb=0.2)
    kinds = {grasp.kind: grasp for grasp in grasps(joints)}
    assert kinds["flat"].axes[2, 1] < -0.9, "the palm faces the camera"
    assert not kinds.keys() & {"wrap", "ball"}, "nothing is inside fingers that bend away from the palm"
    mirrored = grasps(joints * [-1, 1, 1], is_right=False)
    assert all(grasp.axes[2, 1] < -0.9 for grasp in mirrored if grasp.kind == "flat")


def test_a_tight_fist_holds_nothing() -> None:
    fist = hand(1.45, thumb=1.2)
    fist[1:5] = fist[0] + np.linspace(0, 1, 5)[1:, None] * (fist[6] + (0.0, 0.01, -0.015) - fist[0])
    fist[4] = fist[7] + (0.001, 0.001, -0.002)
    assert all(grasp.room < 0.012 for grasp in grasps(fist))


def test_occluders_hide_what_they_shall() -> None:
    count = 0
    for seed in range(60):
        joints = HANDS[seed % len(HANDS)]
        surface = occluder(joints, CAMERA_MATRIX, np.random.default_rng([2, seed]))
        if surface is None:
            continue
        count += 1
        assert surface.labels.sum() == 0
        assert surface.vertices[:, 2].min() > 0.02
        # Most of it is before the hand; a long bar's far end may reach past it.
        assert np.median(surface.vertices[:, 2]) < joints[:, 2].min()
        pixels = joints @ CAMERA_MATRIX.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        low, high = pixels.min(0), pixels.max(0)
        x0, y0 = np.round(low - 0.08 * (high - low)).astype(int)
        x1, y1 = np.round(high + 0.08 * (high - low)).astype(int)
        shifted = Camera(CAMERA.fx, CAMERA.fy, CAMERA.cx - x0, CAMERA.cy - y0)
        drawn = render([Mesh(surface.vertices, surface.faces)], shifted, x1 - x0, y1 - y0)
        # It is measured on 48 x 48 points and fills border pixels wholly: thin things seem up to 5 % of the box larger.
        assert HIDDEN[0] - 0.06 < drawn.alpha.mean() < HIDDEN[1] + 0.03
    assert count > 40


def test_occluders_are_sound() -> None:
    for seed in range(30):
        surface = occluder(HANDS[0], CAMERA_MATRIX, np.random.default_rng([3, seed]))
        if surface is not None:
            sound(surface)


def test_no_occluder_for_a_hand_at_the_lens() -> None:
    assert occluder(HANDS[0] - (0, 0, 0.4), CAMERA_MATRIX, np.random.default_rng(0)) is None


def test_things_repeat() -> None:
    for make in (held_object, lambda joints, rng: occluder(joints, CAMERA_MATRIX, rng)):
        for seed in range(8):
            first, again = (make(HANDS[seed], np.random.default_rng(seed)) for _ in range(2))
            assert (first is None) == (again is None)
            if first is not None and again is not None:
                np.testing.assert_array_equal(first.vertices, again.vertices)
                np.testing.assert_array_equal(first.albedo, again.albedo)


def test_wrong_joints_are_refused() -> None:
    with pytest.raises(ValueError, match=r"joints must be finite numbers of shape \(21, 3\)"):
        held_object(np.zeros((20, 3)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="occluder: joints"):
        occluder(np.full((21, 3), np.nan), CAMERA_MATRIX, np.random.default_rng(0))
