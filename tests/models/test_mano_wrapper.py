"""`MANO` under the original's name: buffers, outputs, loading, and arguments."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import read_mano
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models import HandModelArrays
from hamer.models.mano_wrapper import MANO


def make_arrays(n_vertices: int = 40, seed: int = 0) -> HandModelArrays:
    rng = np.random.default_rng(seed)
    weights, regressor = rng.random((n_vertices, 16)), rng.random((16, n_vertices))
    return HandModelArrays(
        name="open",
        v_template=0.05 * rng.normal(size=(n_vertices, 3)),
        shapedirs=0.002 * rng.normal(size=(n_vertices, 3, 10)),
        posedirs=0.001 * rng.normal(size=(n_vertices, 3, 135)),
        J_regressor=regressor / regressor.sum(1, keepdims=True),
        lbs_weights=weights / weights.sum(1, keepdims=True),
        faces=np.random.default_rng(0).integers(0, n_vertices, (50, 3)),
        hands_mean=0.2 * rng.normal(size=45),
        hands_components=np.linalg.qr(rng.normal(size=(45, 45)))[0],
        fingertips=np.array([3, 7, 11, 19, 23]),
        uv=rng.random((n_vertices, 2)),
    )


def make_pose(batch: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "global_orient": aa_to_rotmat(torch.randn(batch, 1, 3, generator=generator)),
        "hand_pose": aa_to_rotmat(0.5 * torch.randn(batch, 15, 3, generator=generator)),
        "betas": torch.randn(batch, 10, generator=generator),
    }


def test_output_has_the_original_fields() -> None:
    pose = make_pose(3)
    mano = MANO(make_arrays())
    output = mano(**pose, pose2rot=False)
    assert output.vertices.shape == (3, 40, 3)
    assert output.joints.shape == (3, 21, 3)
    assert output["vertices"] is output.vertices
    assert output.get("nothing") is None
    assert set(output) >= {"vertices", "joints", "betas", "global_orient", "hand_pose"}
    assert output.hand_pose is pose["hand_pose"]
    assert isinstance(mano.faces, np.ndarray)
    np.testing.assert_array_equal(mano.faces, mano.faces_tensor.numpy())


def test_what_is_not_given_is_zero() -> None:
    mano = MANO(make_arrays())
    rest = mano()
    # float32 rounding of the template, in metres
    np.testing.assert_allclose(rest.vertices[0].numpy(), make_arrays().v_template, atol=1e-7)
    assert mano(betas=torch.zeros(4, 10)).joints.shape == (4, 21, 3)
    shifted = mano(transl=torch.tensor([[0.0, 0.0, 1.0]]))
    torch.testing.assert_close(shifted.vertices, rest.vertices + torch.tensor([0.0, 0, 1]))
    one_shape = mano(hand_pose=make_pose(4)["hand_pose"], betas=torch.zeros(1, 10))
    assert one_shape.vertices.shape == (4, 40, 3)


def test_joints_only_and_full_pose() -> None:
    mano, pose = MANO(make_arrays()), make_pose(2)
    output = mano(**pose, return_verts=False, return_full_pose=True)
    assert output.vertices is None
    torch.testing.assert_close(output.joints, mano(**pose).joints, atol=1e-6, rtol=0)  # float32, another order of sums
    torch.testing.assert_close(output.full_pose[:, 1:], pose["hand_pose"])


def test_axis_angle_and_components_add_the_mean_as_smplx() -> None:
    mano = MANO(make_arrays(), use_pca=True, num_pca_comps=6, flat_hand_mean=False)
    components = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    pose = components @ mano.hand_components + mano.hand_mean
    expected = mano(hand_pose=aa_to_rotmat(pose.reshape(2, 15, 3)))
    torch.testing.assert_close(mano(hand_pose=components, pose2rot=True).vertices, expected.vertices)
    axis_angle = (components @ mano.hand_components).reshape(2, 15, 3)
    torch.testing.assert_close(mano(hand_pose=axis_angle, pose2rot=True).vertices, expected.vertices)
    flat = MANO(make_arrays(), flat_hand_mean=True)
    assert (flat.pose_mean == 0).all()


def test_loading_other_buffers_changes_the_hand() -> None:
    """A checkpoint's own MANO wins over the file given."""
    ours, theirs, pose = MANO(make_arrays(seed=0)), MANO(make_arrays(seed=1)), make_pose(2)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(**pose).vertices, theirs(**pose).vertices, atol=1e-7, rtol=0)
    assert ours.arrays.name == "open"
    assert ours.arrays.uv is not None


def test_loading_inside_other_modules() -> None:
    class Outer(torch.nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.mano = MANO(make_arrays(seed=seed))

    ours, theirs, pose = Outer(0), Outer(1), make_pose(2)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.mano(**pose).vertices, theirs.mano(**pose).vertices, atol=1e-7, rtol=0)


def test_model_on_the_meta_device_is_filled_by_loading() -> None:
    filled, pose = MANO(make_arrays()), make_pose(2)
    with torch.device("meta"):
        empty = MANO(make_arrays())
    assert empty.v_template.is_meta
    empty.load_state_dict(filled.state_dict(), assign=True)
    assert not any(buffer.is_meta for buffer in empty.buffers())
    torch.testing.assert_close(empty(**pose).vertices, filled(**pose).vertices, atol=1e-7, rtol=0)


def test_dtype_follows() -> None:
    mano = MANO(make_arrays()).double()
    assert mano(betas=torch.zeros(1, 10).double()).vertices.dtype == torch.float64
    mano.load_state_dict(MANO(make_arrays(seed=1)).state_dict())
    assert mano(betas=torch.zeros(1, 10).double()).vertices.dtype == torch.float64


def test_extra_joints_and_template(tmp_path: Path) -> None:
    regressor = np.random.default_rng(0).random((2, 40)).astype(np.float32)
    np.save(tmp_path / "extra.npy", regressor)
    mano, pose = MANO(make_arrays(), joint_regressor_extra=tmp_path / "extra.npy"), make_pose(2)
    output = mano(**pose)
    torch.testing.assert_close(output.joints[:, 21:], torch.tensor(regressor) @ output.vertices)
    flat = MANO(make_arrays(), v_template=torch.zeros(40, 3))
    assert flat().vertices.abs().max() == 0


def test_arguments() -> None:
    configured = {"gender": "neutral", "num_hand_joints": 15, "mean_params": "x", "create_body_pose": False}
    MANO(make_arrays(), data_dir="x", is_rhand=True, **configured)
    with pytest.raises(ValueError, match="10 betas and 15 hand joints, got 20 and 15"):
        MANO(make_arrays(), num_betas=20)
    with pytest.raises(ValueError, match="joint_mapper must be None"):
        MANO(make_arrays(), joint_mapper=lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"unexpected arguments.*gendre"):
        MANO(make_arrays(), gendre="neutral")
    with pytest.raises(FileNotFoundError, match="mano"):
        MANO("no/such/folder")


def test_golden_buffers(golden: Path) -> None:
    layout = json.loads((golden / "hamer/state_dict_layout.json").read_text())["tensors"]
    expected = {name[5:]: entry for name, entry in layout.items() if name.startswith("mano.")}
    mano = MANO(model_path=golden / "hamer/mano")
    found = {k: [list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in mano.state_dict().items()}
    assert found == expected
    assert not list(mano.parameters())
    data = np.load(golden / "hamer/mano.npz")
    for name in data.files:
        if name.startswith("buf."):
            np.testing.assert_allclose(mano.state_dict()[name[4:]].numpy(), data[name], atol=1e-7)  # stored as float32


@pytest.mark.parametrize("file", ["mano", "mano_chumpy/MANO_RIGHT.pkl"])
def test_golden_output(golden: Path, file: str) -> None:
    data = {name: torch.as_tensor(array) for name, array in np.load(golden / "hamer/mano.npz").items()}
    mano = MANO(golden / "hamer" / file)
    rotmat = data["rotmat"]
    output = mano(global_orient=rotmat[:, :1], hand_pose=rotmat[:, 1:], betas=data["betas"], pose2rot=False)
    torch.testing.assert_close(output.vertices, data["vertices"], atol=1e-6, rtol=0)
    torch.testing.assert_close(output.joints, data["joints"], atol=1e-6, rtol=0)
    moved = mano(
        global_orient=rotmat[:, :1], hand_pose=rotmat[:, 1:], betas=data["betas"], transl=data["transl"], pose2rot=False
    )
    torch.testing.assert_close(moved.joints, data["joints_transl"], atol=1e-6, rtol=0)
    assert mano.arrays.closed_faces.shape == (len(read_mano(golden / "hamer" / file).faces) + 14, 3)
