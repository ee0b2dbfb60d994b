"""The skinning layer: against a plain reference, by its symmetries, its gradients, and the original's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import read_mano
from hamer.geometry.mirroring import mirror_axis_angle, mirror_points, mirror_rotmat
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models import HandModel, HandModelArrays, HandOutput, mirror_output
from hamer.hand_models.joints import (
    JOINT_NAMES,
    MANO_FINGERTIPS,
    MANO_JOINT_NAMES,
    MANO_PARENTS,
    MANO_TO_OPENPOSE,
    SKELETON,
)

BATCHES = [(), (1,), (5,), (2, 3), (0,)]


def make_arrays(n_vertices: int = 40, seed: int = 0) -> HandModelArrays:
    """A made-up hand: random arrays of the right shapes, in metres."""
    rng = np.random.default_rng(seed)
    weights = rng.random((n_vertices, 16)) ** 4
    regressor = rng.random((16, n_vertices)) ** 8
    return HandModelArrays(
        name="mano",
        v_template=0.05 * rng.normal(size=(n_vertices, 3)),
        shapedirs=0.002 * rng.normal(size=(n_vertices, 3, 10)),
        posedirs=0.001 * rng.normal(size=(n_vertices, 3, 135)),
        J_regressor=regressor / regressor.sum(1, keepdims=True),
        lbs_weights=weights / weights.sum(1, keepdims=True),
        faces=rng.integers(0, n_vertices, (50, 3)),
        hands_mean=0.2 * rng.normal(size=45),
        hands_components=np.linalg.qr(rng.normal(size=(45, 45)))[0],
        fingertips=np.array([3, 7, 11, 19, 23]),
    )


def make_input(batch: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    wrist = aa_to_rotmat(torch.randn(*batch, 3, dtype=torch.float64, generator=generator))
    fingers = aa_to_rotmat(0.5 * torch.randn(*batch, 15, 3, dtype=torch.float64, generator=generator))
    return wrist, fingers, torch.randn(*batch, 10, dtype=torch.float64, generator=generator)


def plain_skinning(
    arrays: HandModelArrays, wrist: np.ndarray, fingers: np.ndarray, betas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One hand, joint by joint and vertex by vertex, as the paper writes it: the reference."""
    shaped = arrays.v_template + arrays.shapedirs @ betas
    rest = arrays.J_regressor @ shaped
    rotations = [wrist, *fingers]
    posed = shaped + arrays.posedirs @ (np.stack(rotations[1:]) - np.eye(3)).reshape(-1)
    world: list[np.ndarray] = []
    for joint, parent in enumerate(arrays.parents):
        local = np.eye(4)
        local[:3, :3] = rotations[joint]
        local[:3, 3] = rest[joint] - (rest[parent] if joint else 0)
        world.append(world[parent] @ local if joint else local)
    vertices = np.zeros_like(posed)
    for v, point in enumerate(posed):
        for joint in range(16):
            moved = world[joint][:3, :3] @ (point - rest[joint]) + world[joint][:3, 3]
            vertices[v] += arrays.lbs_weights[v, joint] * moved
    joints = np.concatenate([np.stack([w[:3, 3] for w in world]), vertices[arrays.fingertips]])
    return vertices, joints[list(MANO_TO_OPENPOSE)]


def test_agrees_with_the_plain_reference() -> None:
    arrays = make_arrays()
    wrist, fingers, betas = make_input((3,))
    output = HandModel(arrays, torch.float64)(wrist, fingers, betas)
    for i in range(3):
        vertices, joints = plain_skinning(arrays, wrist[i].numpy(), fingers[i].numpy(), betas[i].numpy())
        np.testing.assert_allclose(output.vertices[i].numpy(), vertices, atol=1e-15)
        np.testing.assert_allclose(output.joints[i].numpy(), joints, atol=1e-15)


def test_other_trees_work() -> None:
    arrays = make_arrays()
    arrays.parents = np.array([-1, 0, 0, 1, 1, 2, 5, 6, 7, 3, 3, 0, 11, 12, 8, 14])
    wrist, fingers, betas = make_input(())
    vertices, joints = plain_skinning(arrays, wrist.numpy(), fingers.numpy(), betas.numpy())
    output = HandModel(arrays, torch.float64)(wrist, fingers, betas)
    np.testing.assert_allclose(output.vertices.numpy(), vertices, atol=1e-15)
    np.testing.assert_allclose(output.joints.numpy(), joints, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", BATCHES)
def test_any_leading_dimensions(batch: tuple[int, ...], dtype: torch.dtype) -> None:
    model = HandModel(make_arrays(), dtype)
    output = model(*(x.to(dtype) for x in make_input(batch)))
    assert output.vertices.shape == (*batch, 40, 3)
    assert output.joints.shape == (*batch, 21, 3)
    assert output.vertices.dtype == output.joints.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", BATCHES)
def test_joints_alone_equal_those_of_forward(batch: tuple[int, ...], dtype: torch.dtype) -> None:
    model = HandModel(make_arrays(), dtype)
    inputs = [x.to(dtype) for x in make_input(batch)]
    shift = torch.randn(*batch, 3, dtype=dtype)
    # 1e-6 m in single precision: the same sums in another order.
    tolerance = 1e-6 if dtype == torch.float32 else 1e-15
    torch.testing.assert_close(
        model.joints(*inputs, shift), model(*inputs, shift).joints, atol=tolerance, rtol=tolerance
    )


def test_leading_dimensions_broadcast() -> None:
    model = HandModel(make_arrays(), torch.float64)
    wrist, fingers, betas = make_input((4,))
    one_shape = model(wrist, fingers, betas[0], torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(one_shape.vertices, model(wrist, fingers, betas[:1].expand(4, 10)).vertices)
    grid = model(wrist[:, None], fingers[None, :2], betas[0])
    torch.testing.assert_close(grid.joints[3, 1], model(wrist[3], fingers[1], betas[0]).joints)


def test_rest_pose_is_the_template() -> None:
    arrays = make_arrays()
    model = HandModel(arrays, torch.float64)
    identity = torch.eye(3, dtype=torch.float64)
    output = model(identity, identity.expand(15, 3, 3), torch.zeros(10, dtype=torch.float64))
    np.testing.assert_allclose(output.vertices.numpy(), arrays.v_template, atol=1e-15)
    np.testing.assert_allclose(output.joints[0].numpy(), (arrays.J_regressor @ arrays.v_template)[0], atol=1e-15)


def test_global_orientation_turns_about_the_wrist() -> None:
    model = HandModel(make_arrays(), torch.float64)
    wrist, fingers, betas = make_input((4,))
    turned, plain = model(wrist, fingers, betas), model(torch.eye(3).double().expand(4, 3, 3), fingers, betas)
    root = plain.joints[:, :1]
    torch.testing.assert_close(turned.joints[:, :1], root)
    expected = (plain.vertices - root) @ wrist.mT + root
    torch.testing.assert_close(turned.vertices, expected)


def test_translation_moves_everything() -> None:
    model = HandModel(make_arrays(), torch.float64)
    inputs = make_input((2,))
    shift = torch.tensor([[0.1, 0.2, 0.3], [-1, 0, 5]], dtype=torch.float64)
    moved, still = model(*inputs, shift), model(*inputs)
    torch.testing.assert_close(moved.vertices, still.vertices + shift[:, None])
    torch.testing.assert_close(moved.joints, still.joints + shift[:, None])


def test_axis_angle_and_pca_input() -> None:
    arrays = make_arrays()
    model = HandModel(arrays, torch.float64)
    generator = torch.Generator().manual_seed(0)
    wrist, pose = torch.randn(2, 3, generator=generator).double(), torch.randn(2, 45, generator=generator).double()
    betas = torch.randn(2, 10, generator=generator).double()
    matrices = model(aa_to_rotmat(wrist), aa_to_rotmat(pose.reshape(2, 15, 3)), betas)
    torch.testing.assert_close(model.forward_axis_angle(wrist, pose, betas).vertices, matrices.vertices)

    with_mean = model.forward_axis_angle(wrist, pose - model.hands_mean, betas, flat_hand_mean=False)
    torch.testing.assert_close(with_mean.vertices, matrices.vertices)

    coefficients = model.components_from_pose(pose - model.hands_mean)
    torch.testing.assert_close(model.forward_pca(wrist, coefficients, betas).vertices, matrices.vertices)
    few = model.forward_pca(wrist, coefficients[:, :6], betas).joints
    rest = torch.zeros(2, 45, dtype=torch.float64)
    rest[:, :6] = coefficients[:, :6]
    torch.testing.assert_close(few, model.forward_pca(wrist, rest, betas).joints)
    with pytest.raises(ValueError, match="at most 45 coefficients"):
        model.pose_from_components(torch.zeros(2, 46))


def test_gradients() -> None:
    model = HandModel(make_arrays(24), torch.float64)
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(2, 3, dtype=torch.float64, generator=generator).requires_grad_(),
        (0.3 * torch.randn(2, 45, dtype=torch.float64, generator=generator)).requires_grad_(),
        torch.randn(2, 10, dtype=torch.float64, generator=generator).requires_grad_(),
        torch.randn(2, 3, dtype=torch.float64, generator=generator).requires_grad_(),
    ]
    assert torch.autograd.gradcheck(lambda *x: model.forward_axis_angle(*x), inputs, fast_mode=True)
    assert torch.autograd.gradcheck(
        lambda w, p, b, t: model.joints(aa_to_rotmat(w), aa_to_rotmat(p.unflatten(-1, (15, 3))), b, t), inputs
    )


def test_functional_jacobian() -> None:
    """Fitting may take batched Jacobians with torch.func."""
    model = HandModel(make_arrays(), torch.float64)
    wrist, fingers, betas = make_input((3,))
    of_betas = torch.func.vmap(torch.func.jacfwd(model.joints, argnums=2))(wrist, fingers, betas)
    expected = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda b, i=i: model.joints(wrist[i], fingers[i], b), betas[i])
            for i in range(3)
        ]
    )
    torch.testing.assert_close(of_betas, expected)


def test_left_hand_by_mirroring() -> None:
    """A left hand: mirror parameters, evaluate as right, mirror the points; the same as mirroring the rest hand."""
    arrays = make_arrays()
    left = HandModelArrays(
        **{
            **vars(arrays),
            "v_template": mirror_points(arrays.v_template),
            "shapedirs": mirror_points(arrays.shapedirs.swapaxes(1, 2)).swapaxes(1, 2),
            # An entry (r, c) of a mirrored rotation changes its sign where exactly one of r, c is the x axis.
            "posedirs": mirror_points(arrays.posedirs.swapaxes(1, 2)).swapaxes(1, 2)
            * np.tile(np.array([1.0, -1, -1, -1, 1, 1, -1, 1, 1]), 15),
        }
    )
    wrist, fingers, betas = make_input((2,))
    true_left = HandModel(left, torch.float64)(wrist, fingers, betas)
    as_right = HandModel(arrays, torch.float64)(mirror_rotmat(wrist), mirror_rotmat(fingers), betas)
    mirrored = mirror_output(as_right, is_right=False)
    torch.testing.assert_close(mirrored.vertices, true_left.vertices)
    torch.testing.assert_close(mirrored.joints, true_left.joints)
    np.testing.assert_array_equal(HandModel(arrays).left_faces.numpy(), arrays.faces[:, [0, 2, 1]])


def test_mirror_output_takes_a_flag_a_hand() -> None:
    output = HandOutput(torch.randn(2, 4, 3), torch.randn(2, 21, 3))
    mixed = mirror_output(output, torch.tensor([True, False]))
    torch.testing.assert_close(mixed.vertices[0], output.vertices[0])
    torch.testing.assert_close(mixed.joints[1], mirror_points(output.joints[1]))
    assert mirror_output(output, is_right=True) is output


def test_nan_stays_in_its_hand() -> None:
    wrist, fingers, betas = make_input((3,))
    betas[1, 0] = torch.nan
    output = HandModel(make_arrays(), torch.float64)(wrist, fingers, betas)
    assert output.vertices[1].isnan().all()
    assert output.vertices[[0, 2]].isfinite().all()


def test_model_is_no_part_of_a_state_dict_and_follows_dtype() -> None:
    model = HandModel(make_arrays())
    assert not model.state_dict()
    assert not list(model.parameters())
    double = model.double()
    assert double(*make_input((2,))).vertices.dtype == torch.float64


def test_mixed_precision_does_not_reach_the_hand() -> None:
    model = HandModel(make_arrays())
    wrist, fingers, betas = (x.float() for x in make_input((2,)))
    expected = model(wrist, fingers, betas)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(model(wrist, fingers, betas).vertices, expected.vertices)
        torch.testing.assert_close(model.joints(wrist, fingers, betas), expected.joints, atol=1e-6, rtol=0)
        mixed = model(wrist, fingers, betas.bfloat16())  # as a head under autocast hands them over
    assert mixed.vertices.dtype == torch.float32


def test_joint_names_fit_the_orders() -> None:
    named = [*MANO_JOINT_NAMES, *(f"{f}4" for f in ("thumb", "index", "middle", "ring", "little"))]
    assert tuple(named[i] for i in MANO_TO_OPENPOSE) == JOINT_NAMES
    for joint, parent in enumerate(MANO_PARENTS[1:], start=1):
        base = MANO_JOINT_NAMES[joint].endswith("1")
        assert MANO_JOINT_NAMES[parent] == (
            "wrist" if base else f"{MANO_JOINT_NAMES[joint][:-1]}{int(named[joint][-1]) - 1}"
        )
    assert SKELETON[:5] == ((0, 1), (1, 2), (2, 3), (3, 4), (0, 5))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("shapedirs", np.zeros((40, 3, 9)), "shapedirs must have shape"),
        ("v_template", np.full((40, 3), np.nan), "v_template must be finite"),
        ("faces", np.array([[0, 1, 40]]), "faces must index 40"),
        ("fingertips", np.arange(4), "fingertips must have shape"),
        ("parents", np.arange(16), "parents must name an earlier joint"),
    ],
)
def test_arrays_check_themselves(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HandModelArrays(**{**vars(make_arrays()), field: value})


def test_pickled_root_parent_is_minus_one() -> None:
    arrays = make_arrays()
    stored = np.array([2**32 - 1, *MANO_PARENTS[1:]], dtype=np.int64)  # as MANO's uint32 table has it
    assert HandModelArrays(**{**vars(arrays), "parents": stored}).parents[0] == -1


def test_golden_mano(golden: Path) -> None:
    data = {name: torch.as_tensor(array) for name, array in np.load(golden / "hamer/mano.npz").items()}
    model = HandModel(read_mano(golden / "hamer/mano"))
    rotmat, betas = data["rotmat"], data["betas"]
    output = model(rotmat[:, 0], rotmat[:, 1:], betas)
    torch.testing.assert_close(output.vertices, data["vertices"], atol=1e-6, rtol=0)
    torch.testing.assert_close(output.joints, data["joints"], atol=1e-6, rtol=0)
    joints = model.joints(rotmat[:, 0], rotmat[:, 1:], betas)
    torch.testing.assert_close(joints, data["joints"], atol=1e-6, rtol=0)
    moved = model(rotmat[:, 0], rotmat[:, 1:], betas, data["transl"])
    torch.testing.assert_close(moved.vertices, data["vertices_transl"], atol=1e-6, rtol=0)
    torch.testing.assert_close(moved.joints, data["joints_transl"], atol=1e-6, rtol=0)
    pose = data["axis_angle"]
    output = model.forward_axis_angle(pose[:, 0], pose[:, 1:].flatten(1), betas)
    torch.testing.assert_close(output.vertices, data["vertices_smplx"], atol=1e-6, rtol=0)


def test_golden_left_hand_is_the_mirrored_right_one(golden: Path) -> None:
    data = {name: torch.as_tensor(array) for name, array in np.load(golden / "hamer/mano.npz").items()}
    model = HandModel(read_mano(golden / "hamer/mano"))
    pose = mirror_axis_angle(mirror_axis_angle(data["axis_angle"]))
    right = model.forward_axis_angle(pose[:, 0], pose[:, 1:].flatten(1), data["betas"])
    left = mirror_output(right, torch.zeros(8, dtype=torch.bool))
    torch.testing.assert_close(left.vertices, data["vertices"] * torch.tensor([-1.0, 1, 1]), atol=1e-6, rtol=0)


def test_golden_wrist_faces(golden: Path) -> None:
    arrays = read_mano(golden / "hamer/mano")
    closing = np.load(golden / "hamer/render.npz")["render_faces"][-14:]
    np.testing.assert_array_equal(arrays.wrist_faces, closing)
    np.testing.assert_array_equal(arrays.closed_faces[-14:], closing)
    assert tuple(arrays.fingertips) == MANO_FINGERTIPS
