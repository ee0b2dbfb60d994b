"""The shipped open hand: its arrays, its mesh, what its joints and betas do. Needs neither anny nor MANO."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models import HandModel, HandModelArrays
from hamer.hand_models.joints import JOINT_NAMES, MANO_JOINT_NAMES, MANO_PARENTS

MANO_REST = {  # joints of MANO's template in millimetres, rounded: the frame and the proportions to agree with
    "wrist": (96, 6, 6),
    "index1": (8, 1, 27),
    "index3": (-47, 4, 29),
    "middle1": (1, 5, 3),
    "middle3": (-53, 7, -2),
    "little1": (27, 0, -37),
    "little3": (-8, 0, -47),
    "ring1": (13, 3, -20),
    "ring3": (-35, 3, -31),
    "thumb1": (72, -9, 35),
    "thumb3": (28, -15, 69),
}
FINGER_JOINTS = [name for name in MANO_JOINT_NAMES[1:] if not name.startswith("thumb")]
REACH = {"thumb1": 50.0, "thumb2": 70.0}
"""Degrees of flexion that a joint is tried at, where a hand does not reach the 90 of the others."""


@pytest.fixture(scope="module")
def arrays() -> HandModelArrays:
    return load_open_hand()


@pytest.fixture(scope="module")
def model(arrays: HandModelArrays) -> HandModel:
    return HandModel(arrays, torch.float64)


@pytest.fixture(scope="module")
def rest_joints(arrays: HandModelArrays) -> np.ndarray:
    return (arrays.J_regressor @ arrays.v_template).astype(np.float64)


def _flexion_axis(joints: np.ndarray, joint: int) -> np.ndarray:
    """Across the bone, parallel to the palm; for the thumb, whose nail looks half sideways, across (1, 1, 1)."""
    start, end = (joint, joint + 1) if joint % 3 else (joint - 1, joint)
    up = np.array([1.0, 1.0, 1.0]) if joint >= 13 else np.array([0.0, 1.0, 0.0])
    axis = np.cross(up, joints[end] - joints[start])
    return axis / np.linalg.norm(axis)


def _bend(model: HandModel, vectors: dict[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and 21 joints with rotation vectors at some of the 16 joints."""
    pose = np.zeros((15, 3))
    for joint, vector in vectors.items():
        pose[joint - 1] = vector
    eye, betas = torch.eye(3, dtype=torch.float64), torch.zeros(10, dtype=torch.float64)
    output = model(eye, aa_to_rotmat(torch.as_tensor(pose)), betas)
    return output.vertices.numpy(), output.joints.numpy()


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return np.cross(b - a, c - a)


def _chain_length(joints: np.ndarray, names: tuple[str, ...]) -> float:
    places = joints[[JOINT_NAMES.index(name) for name in names]]
    return float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())


MIDDLE = ("wrist", "middle1", "middle2", "middle3", "middle4")


def test_file_is_small_and_plain() -> None:
    resource = files("hamer.hand_models") / "open_hand.npz"
    assert len(resource.read_bytes()) < 1_000_000
    with resource.open("rb") as stream, np.load(stream) as stored:
        assert all(stored[name].dtype.kind in "fiU" for name in stored.files), "no object arrays: they would be pickles"


def test_arrays_have_manos_interface(arrays: HandModelArrays) -> None:
    assert arrays.name == "open"
    assert arrays.shapedirs.shape[1:] == (3, 10)
    assert arrays.posedirs.shape[1:] == (3, 135)
    assert tuple(arrays.parents) == MANO_PARENTS
    assert arrays.uv is not None
    assert arrays.uv_faces is not None
    assert arrays.uv.min() >= 0
    assert arrays.uv.max() <= 1


def test_weights_and_regressor_add_up_to_one(arrays: HandModelArrays) -> None:
    # float32 rows of up to 48 numbers: rounding stays near 1e-6
    np.testing.assert_allclose(arrays.lbs_weights.sum(1), 1.0, atol=2e-6)
    np.testing.assert_allclose(arrays.J_regressor.sum(1), 1.0, atol=5e-6)
    assert arrays.lbs_weights.min() >= 0
    assert ((arrays.J_regressor != 0).sum(1) <= 48).all(), "joints depend on the vertices around them only"


def test_mesh_is_a_manifold_with_one_open_rim(arrays: HandModelArrays) -> None:
    directed = Counter((int(f[i]), int(f[(i + 1) % 3])) for f in arrays.faces for i in range(3))
    assert max(directed.values()) == 1, "neighbouring faces run along their edge in opposite directions"
    rim = {a: b for a, b in directed if (b, a) not in directed}
    start = next(iter(rim))
    vertex, steps = rim[start], 1
    while vertex != start:
        vertex, steps = rim[vertex], steps + 1
    assert steps == len(rim), "one loop"
    assert arrays.v_template[list(rim), 0].min() > 0.1, "the rim lies at the forearm"
    assert len(np.unique(arrays.faces)) == len(arrays.v_template), "every vertex is used"


def test_wrist_faces_close_the_mesh(arrays: HandModelArrays) -> None:
    directed = {(int(f[i]), int(f[(i + 1) % 3])) for f in arrays.closed_faces for i in range(3)}
    assert all((b, a) in directed for a, b in directed)
    assert len(directed) == 3 * len(arrays.closed_faces)
    assert len(arrays.v_template) - len(directed) // 2 + len(arrays.closed_faces) == 2, "a sphere (Euler)"
    assert 150e-6 < _volume(arrays.v_template, arrays.closed_faces) < 400e-6, "normals outward; a hand's litres"


def test_rest_pose_lies_where_manos_does(rest_joints: np.ndarray, arrays: HandModelArrays) -> None:
    for name, place in MANO_REST.items():
        distance = np.linalg.norm(rest_joints[MANO_JOINT_NAMES.index(name)] * 1e3 - place)
        assert distance < 5, f"{name} is {distance:.1f} mm from MANO's"  # other people's hands differ by more
    tips = arrays.v_template[arrays.fingertips] * 1e3
    assert tips[:, 0].argmin() == 2, "the middle finger reaches farthest along -x"
    assert tips[:, 2].argmax() == 0, "the thumb points to +z"


def test_joints_lie_inside_the_mesh(model: HandModel, arrays: HandModelArrays) -> None:
    faces = arrays.closed_faces
    generator = torch.Generator().manual_seed(0)
    for betas in (torch.zeros(10), *(torch.randn(3, 10, generator=generator) * 1.5)):
        eye = torch.eye(3, dtype=torch.float64)
        vertices, joints = model(eye, eye.expand(15, 3, 3), betas.double())
        inner = [i for i, name in enumerate(JOINT_NAMES) if not name.endswith("4")]
        for joint in joints.numpy()[inner]:
            a, b, c = (vertices.numpy()[faces[:, k]] - joint for k in range(3))
            la, lb, lc = (np.linalg.norm(p, axis=1) for p in (a, b, c))
            # solid angle of each triangle (van Oosterom and Strackee 1983); inside, they add up to 4 pi
            above = np.einsum("fi,fi->f", a, np.cross(b, c))
            below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
            assert np.arctan2(above, below).sum() / (2 * np.pi) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", FINGER_JOINTS)
def test_positive_z_bends_fingers_to_the_palm(model: HandModel, name: str) -> None:
    finger = name[:-1]
    _, rest = _bend(model, {})
    _, bent = _bend(model, {MANO_JOINT_NAMES.index(name): np.array([0.0, 0.0, np.radians(40)])})
    tip = JOINT_NAMES.index(f"{finger}4")
    assert bent[tip, 1] < rest[tip, 1] - 5e-3, "to -y, where the palm looks"
    others = [i for i, n in enumerate(JOINT_NAMES) if not n.startswith(finger)]
    np.testing.assert_allclose(bent[others], rest[others], atol=1e-12)


def test_positive_y_moves_fingers_to_the_thumb(model: HandModel) -> None:
    _, rest = _bend(model, {})
    for finger in ("index", "middle", "ring", "little"):
        _, moved = _bend(model, {MANO_JOINT_NAMES.index(f"{finger}1"): np.array([0.0, np.radians(15), 0.0])})
        tip = JOINT_NAMES.index(f"{finger}4")
        assert moved[tip, 2] > rest[tip, 2] + 5e-3


def test_thumb_flexes_across_the_palm(model: HandModel, rest_joints: np.ndarray) -> None:
    _, rest = _bend(model, {})
    little = rest[JOINT_NAMES.index("little1")]
    tip = JOINT_NAMES.index("thumb4")
    for joint in (13, 14, 15):
        _, bent = _bend(model, {joint: np.radians(40) * _flexion_axis(rest_joints, joint)})
        assert np.linalg.norm(bent[tip] - little) < np.linalg.norm(rest[tip] - little) - 3e-3


@pytest.mark.parametrize("name", MANO_JOINT_NAMES[1:])
def test_bending_neither_folds_nor_shrinks(
    model: HandModel, arrays: HandModelArrays, rest_joints: np.ndarray, name: str
) -> None:
    joint, faces = MANO_JOINT_NAMES.index(name), arrays.faces
    axis, angle = _flexion_axis(rest_joints, joint), np.radians(REACH.get(name, 90.0))
    rest, _ = _bend(model, {})
    bent, _ = _bend(model, {joint: angle * axis})

    # a triangle's normal should have turned by the share of the rotation that its corners' weights give it
    chain = [j for j in range(joint, 16) if (j - 1) // 3 == (joint - 1) // 3]
    share = arrays.lbs_weights[:, chain].sum(1)[faces].mean(1)
    turned = aa_to_rotmat(torch.as_tensor(share[:, None] * angle * axis)).numpy()
    expected = np.einsum("fij,fj->fi", turned, _normals(rest, faces))
    folded = int(((_normals(bent, faces) * expected).sum(1) < 0).sum())
    # the thumb's base turns the whole ball of the thumb, where two of 3,276 triangles give way
    assert folded <= (2 if name == "thumb1" else 0)

    volume = _volume(rest, arrays.closed_faces)
    # of the whole hand; the skin of a bent finger overlaps a little in the crease, the ball of the thumb more
    assert abs(_volume(bent, arrays.closed_faces) / volume - 1) < (0.045 if name.startswith("thumb") else 0.025)


def test_correctives_keep_the_knuckle_round(arrays: HandModelArrays, model: HandModel, rest_joints: np.ndarray) -> None:
    """At 90 degrees the back of index2 keeps its distance from the joint, which plain blending does not."""
    plain = HandModel(HandModelArrays(**{**vars(arrays), "posedirs": np.zeros_like(arrays.posedirs)}), torch.float64)
    joint = MANO_JOINT_NAMES.index("index2")
    share = arrays.lbs_weights[:, [joint, joint + 1]].sum(1)
    back = (np.abs(share - 0.5) < 0.25) & (arrays.v_template[:, 1] > rest_joints[joint, 1] + 4e-3)
    back &= np.linalg.norm(arrays.v_template - rest_joints[joint], axis=1) < 0.015
    vector = {joint: np.radians(90) * _flexion_axis(rest_joints, joint)}

    def distance(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[back] - rest_joints[joint], axis=1)

    before, corrected, uncorrected = (
        distance(v) for v in (arrays.v_template, _bend(model, vector)[0], _bend(plain, vector)[0])
    )
    assert back.sum() >= 4
    assert np.abs(corrected / before - 1).mean() < 0.1
    assert (uncorrected / before).mean() < (corrected / before).mean() - 0.08


def test_betas_span_human_hands(model: HandModel) -> None:
    eye = torch.eye(3, dtype=torch.float64)

    def length(betas: np.ndarray) -> float:
        _, joints = model(eye, eye.expand(15, 3, 3), torch.as_tensor(betas, dtype=torch.float64))
        return 1e3 * _chain_length(joints.numpy(), MIDDLE)

    assert 170 < length(np.zeros(10)) < 195, "an adult's mean hand, wrist joint to middle fingertip"
    # children of about eight years to the largest hands of published tables
    assert 125 < length(-3 * np.eye(10)[0]) < 155
    assert 200 < length(3 * np.eye(10)[0]) < 225
    for k in range(1, 10):
        for value in (-3.0, 3.0):
            assert abs(length(value * np.eye(10)[k]) - length(np.zeros(10))) < 12, "size is beta 0's"


def test_first_beta_is_size_and_the_others_are_smaller(arrays: HandModelArrays) -> None:
    spread = np.linalg.norm(arrays.shapedirs, axis=1).mean(0)
    assert spread[0] > 2 * spread[1:].max()
    hand = arrays.v_template[:, 0] < 0.09
    middle = arrays.v_template[hand].mean(0)
    assert np.einsum("vi,vi->", arrays.v_template[hand] - middle, arrays.shapedirs[hand, :, 0]) > 0


def test_joints_follow_the_betas_rigidly(model: HandModel) -> None:
    """Every beta changes joints and the mesh around them alike: a joint stays near the middle of its finger."""
    eye = torch.eye(3, dtype=torch.float64)
    arrays = model.arrays
    for k in range(10):
        betas = torch.zeros(10, dtype=torch.float64)
        betas[k] = 3.0
        vertices, joints = model(eye, eye.expand(15, 3, 3), betas)
        for name in ("index2", "middle3", "ring2", "little3"):
            joint = JOINT_NAMES.index(name)
            rest = arrays.J_regressor[MANO_JOINT_NAMES.index(name)] @ arrays.v_template
            ring = np.argsort(np.linalg.norm(arrays.v_template - rest, axis=1))[:16]
            before = arrays.v_template[ring].mean(0) - rest
            after = vertices.numpy()[ring].mean(0) - joints.numpy()[joint]
            assert np.linalg.norm(after - before) < 2.5e-3  # metres: a third of a finger's radius


def test_pose_space(arrays: HandModelArrays, model: HandModel) -> None:
    identity = arrays.hands_components @ arrays.hands_components.T
    np.testing.assert_allclose(identity, np.eye(45), atol=2e-6)  # float32
    zero = torch.zeros(45, dtype=torch.float64)
    orient, betas = torch.zeros(3, dtype=torch.float64), torch.zeros(10, dtype=torch.float64)
    flat = model.forward_axis_angle(orient, zero, betas)
    relaxed = model.forward_axis_angle(orient, zero, betas, flat_hand_mean=False)
    for finger in ("index", "middle", "ring", "little"):
        tip = JOINT_NAMES.index(f"{finger}4")
        assert relaxed.joints[tip, 1] < flat.joints[tip, 1] - 0.01, "a relaxed hand is a little closed"
