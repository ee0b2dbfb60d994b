"""Hand models in files: every form gives the same arrays, and what is missing or damaged is named."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hamer.checkpoints.hand_files import (
    HandFileError,
    arrays_from_mapping,
    arrays_from_state_dict,
    load_open_hand,
    read_hand_npz,
    read_mano,
    write_hand_npz,
)
from hamer.checkpoints.unpickling import UnreadablePickleError
from hamer.errors import UnsafeFileError
from hamer.hand_models import HandModelArrays
from hamer.hand_models.joints import MANO_FINGERTIPS, MANO_PARENTS


def mano_content(n: int = 778) -> dict[str, object]:
    """A made-up file under MANO's names."""
    rng = np.random.default_rng(0)
    weights, regressor = rng.random((n, 16)), rng.random((16, n))
    return {
        "v_template": rng.normal(size=(n, 3)),
        "shapedirs": rng.normal(size=(n, 3, 10)),
        "posedirs": rng.normal(size=(n, 3, 135)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "f": rng.integers(0, n, (50, 3)).astype(np.uint32),
        "kintree_table": np.array([[2**32 - 1, *MANO_PARENTS[1:]], range(16)], dtype=np.int64),
        "hands_mean": rng.normal(size=45),
        "hands_components": rng.normal(size=(45, 45)),
        "bs_style": "lbs",
    }


def assert_same(a: HandModelArrays, b: HandModelArrays, tolerance: float = 0.0) -> None:
    for name, value in vars(a).items():
        other = getattr(b, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(value, other, atol=tolerance, rtol=0, err_msg=name)
        else:
            assert value == other, name


def test_all_file_forms_agree(tmp_path: Path) -> None:
    content = mano_content()
    expected = arrays_from_mapping(content)
    assert expected.name == "mano"
    assert tuple(expected.parents) == MANO_PARENTS
    assert tuple(expected.fingertips) == MANO_FINGERTIPS
    arrays_only = {name: np.ascontiguousarray(value) for name, value in content.items() if name != "bs_style"}
    (tmp_path / "MANO_RIGHT.pkl").write_bytes(pickle.dumps(content))
    np.savez(tmp_path / "mano.npz", **arrays_only)
    save_file(arrays_only, tmp_path / "mano.safetensors")
    for path in (tmp_path, *(tmp_path / name for name in ("MANO_RIGHT.pkl", "mano.npz", "mano.safetensors"))):
        assert_same(read_mano(path), expected)


def test_npz_round_trip(tmp_path: Path) -> None:
    arrays = arrays_from_mapping(
        {**mano_content(), "name": "open", "uv": np.zeros((7, 2)), "uv_faces": np.ones((50, 3))}
    )
    path = write_hand_npz(tmp_path / "hand.npz", arrays)
    back = read_hand_npz(path)
    assert_same(back, arrays)
    assert back.name == "open"
    assert back.uv is not None


def test_state_dict_buffers(golden: Path) -> None:
    """Flattened posedirs, other names, float32, other entries around them."""
    arrays = read_mano(golden / "hamer/mano")
    state = {
        "mano.v_template": arrays.v_template,
        "mano.shapedirs": arrays.shapedirs,
        "mano.posedirs": arrays.posedirs.reshape(-1, 135).T,
        "mano.J_regressor": arrays.J_regressor,
        "mano.lbs_weights": arrays.lbs_weights,
        "mano.faces_tensor": arrays.faces,
        "mano.parents": arrays.parents,
        "mano.hand_mean": arrays.hands_mean,
        "mano.hand_components": arrays.hands_components[:6],
        "mano.extra_joints_idxs": arrays.fingertips,
        "mano.vertex_joint_selector.extra_joints_idxs": arrays.fingertips,
        "backbone.pos_embed": np.zeros(3),
    }
    back = arrays_from_state_dict(state)
    assert back.hands_components.shape == (6, 45)
    back.hands_components = arrays.hands_components
    assert_same(back, arrays)
    with pytest.raises(HandFileError, match=r"buffers named mano\.\*, got none"):
        arrays_from_state_dict({"backbone.pos_embed": np.zeros(3)})


def test_both_golden_pickles_agree(golden: Path) -> None:
    plain, chumpy = read_mano(golden / "hamer/mano"), read_mano(golden / "hamer/mano_chumpy/MANO_RIGHT.pkl")
    # The two files differ by one rounding in weights and regressor, which were normalised anew.
    assert_same(plain, chumpy, tolerance=1e-15)


def test_missing_file_says_where_mano_comes_from(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "MANO_RIGHT.pkl"):
        with pytest.raises(FileNotFoundError, match=r"(?s)MANO_RIGHT\.pkl.*mano\.is\.tue\.mpg\.de.*open hand"):
            read_mano(path)
    with pytest.raises(FileNotFoundError, match=r"MANO_LEFT\.pkl"):
        read_mano(tmp_path, is_right=False)


def test_left_file_closes_its_wrist_the_other_way(tmp_path: Path) -> None:
    content = pickle.dumps(mano_content(778))
    (tmp_path / "MANO_LEFT.pkl").write_bytes(content)
    (tmp_path / "MANO_RIGHT.pkl").write_bytes(content)
    left, right = read_mano(tmp_path, is_right=False), read_mano(tmp_path)
    assert len(right.wrist_faces) == 14
    np.testing.assert_array_equal(left.wrist_faces, right.wrist_faces[:, ::-1])


@pytest.mark.parametrize("name", ["v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f"])
def test_missing_array_is_named(name: str) -> None:
    content = mano_content()
    del content[name]
    with pytest.raises(
        HandFileError, match=r"must hold '(v_template|shapedirs|posedirs|J_regressor|lbs_weights|faces)'"
    ):
        arrays_from_mapping(content, source="my file")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shapedirs", np.zeros((778, 3, 4))),
        ("v_template", np.full((778, 3), np.nan)),
        ("f", np.full((5, 3), 900)),
        ("posedirs", np.zeros((7, 7))),
        ("weights", np.array(["text"])),
    ],
)
def test_arrays_that_do_not_fit_are_named(name: str, value: np.ndarray) -> None:
    with pytest.raises(HandFileError, match="my file does not fit a hand model"):
        arrays_from_mapping({**mano_content(), name: value}, source="my file")


def test_files_that_are_something_else(tmp_path: Path) -> None:
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(HandFileError, match="dict of arrays, got list"):
        read_mano(tmp_path / "list.pkl")
    (tmp_path / "hand.txt").write_text("hand")
    with pytest.raises(HandFileError, match=r"must end in \.pkl"):
        read_mano(tmp_path / "hand.txt")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04cut")
    with pytest.raises(HandFileError, match="must be an npz"):
        read_mano(tmp_path / "cut.npz")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(HandFileError, match="safetensors"):
        read_mano(tmp_path / "cut.safetensors")
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps(mano_content())[:5000])
    with pytest.raises(UnreadablePickleError, match=r"cut\.pkl"):
        read_mano(tmp_path / "cut.pkl")


def test_npz_with_a_pickle_inside_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "hand.npz", v_template=np.array([{"a": 1}], dtype=object))
    with pytest.raises((HandFileError, UnsafeFileError)):
        read_hand_npz(tmp_path / "hand.npz")


def test_open_hand_loads() -> None:
    try:
        arrays = load_open_hand()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert arrays.name == "open"
    assert np.allclose(arrays.lbs_weights.sum(1), 1, atol=1e-5)
    assert np.allclose(arrays.J_regressor.sum(1), 1, atol=1e-5)
