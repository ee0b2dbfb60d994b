"""Mesh files: what 3D programs and the original's users read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from hamer.export import meshes_of, write_glb, write_obj, write_ply
from hamer.rendering import LIGHT_BLUE, Mesh
from hamer.structures import Reconstruction


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    lines = [line.split() for line in path.read_text().splitlines()]
    vertices = np.array([line[1:] for line in lines if line[:1] == ["v"]], float)
    faces = np.array([[corner.split("/")[0] for corner in line[1:]] for line in lines if line[:1] == ["f"]], int)
    return vertices, faces


def outward(mesh: trimesh.Trimesh) -> bool:
    return mesh.volume > 0


def test_obj_agrees_with_the_originals(golden: Path, tmp_path: Path) -> None:
    data = np.load(golden / "hamer" / "render.npz")
    mesh = Mesh(data["vertices"] + data["camera"][0], data["render_faces"], LIGHT_BLUE)
    ours, faces = read_obj(write_obj(mesh, tmp_path / "a.obj"))
    theirs, their_faces = read_obj(golden / "hamer" / "export_right.obj")
    # Both files hold eight decimals of the same float32 sums.
    np.testing.assert_allclose(ours, theirs, atol=1.1e-8)
    np.testing.assert_array_equal(faces, their_faces)


@pytest.mark.parametrize("write", [write_obj, write_ply, write_glb])
def test_frames(result: Reconstruction, tmp_path: Path, write) -> None:
    suffix = write.__name__[-3:]
    viewer = trimesh.load(write(result, tmp_path / f"v.{suffix}", hand_id=0), process=False, force="mesh")
    opencv = trimesh.load(
        write(result, tmp_path / f"o.{suffix}", hand_id=0, frame="opencv"), process=False, force="mesh"
    )
    np.testing.assert_allclose(opencv.vertices, result.hands[0].vertices, atol=1e-7)  # float32 or eight decimals
    np.testing.assert_allclose(viewer.vertices, opencv.vertices * (1, -1, -1), atol=1e-7)
    assert outward(viewer)
    assert outward(opencv)


def test_left_hands_wind_outwards_too(result: Reconstruction, tmp_path: Path) -> None:
    for hand_id in (0, 1):
        loaded = trimesh.load(write_ply(result, tmp_path / f"{hand_id}.ply", hand_id=hand_id), process=False)
        assert outward(loaded)
        # The file's own normals point away from the middle.
        away = loaded.vertices - loaded.vertices.mean(axis=0)
        assert ((loaded.vertex_normals * away).sum(axis=1) > 0).all()
    right, left = meshes_of(result)
    np.testing.assert_array_equal(left.faces, right.faces[:, [0, 2, 1]])


def test_glb_names_materials_and_normals(result: Reconstruction, tmp_path: Path) -> None:
    path = write_glb(result, tmp_path / "a.glb")
    scene = trimesh.load(path, process=False)
    assert set(scene.geometry) == {"hand_0_right", "hand_1_left"}
    assert {m.visual.material.name for m in scene.geometry.values()} == {"hand_0_right", "hand_1_left"}
    assert b"NORMAL" in path.read_bytes()
    for hand, mesh in zip(result.hands, scene.geometry.values(), strict=True):
        assert mesh.vertices.shape == hand.vertices.shape  # nothing merged, nothing split


def test_obj_has_colours_and_normals(result: Reconstruction, tmp_path: Path) -> None:
    path = write_obj(result, tmp_path / "both.obj")
    vertices, faces = read_obj(path)
    assert len(vertices) == sum(len(hand.vertices) for hand in result.hands)
    assert len(faces) == 2 * len(result.faces)
    np.testing.assert_allclose(vertices[:, 3:], np.tile(LIGHT_BLUE, (len(vertices), 1)), atol=0.5 / 255)  # 8 bits
    assert path.read_text().count("\nvn ") >= len(vertices)


def test_same_vertices_twice_stay_two(tmp_path: Path) -> None:
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 0, 1], [0, -1, 1.0]])
    vertices, _ = read_obj(write_obj(Mesh(corners, np.array([[0, 1, 2], [3, 5, 4]])), tmp_path / "a.obj"))
    np.testing.assert_allclose(vertices[:, :3], corners * (1, -1, -1))


def test_errors(result: Reconstruction, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"hand_id must be one of \[0, 1\], got 7"):
        write_obj(result, tmp_path / "a.obj", hand_id=7)
    with pytest.raises(ValueError, match="frame must be"):
        write_obj(result, tmp_path / "a.obj", frame="blender")
    result.hands[1].vertices[3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        write_glb(result, tmp_path / "a.glb")
    result.hands = []
    with pytest.raises(ValueError, match="no hand"):
        write_ply(result, tmp_path / "a.ply")
    assert not list(tmp_path.iterdir())
