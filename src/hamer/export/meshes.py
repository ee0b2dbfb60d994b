"""Meshes as files that 3D programs open: OBJ, GLB and PLY.

Two frames: "viewer" is turned by 180 degrees about x against the camera frame (x right, y up, z towards the viewer), as
3D programs and the original's OBJ have it; "opencv" is the camera frame itself (y down, z forward). Both in metres.
Vertices keep their number and order: nothing is merged, so they go on corresponding to the hand model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import trimesh
from trimesh.visual.material import PBRMaterial

from hamer.export.files import write_atomic
from hamer.rendering.meshes import Mesh, vertex_normals
from hamer.structures import Hand, Reconstruction

Frame = Literal["viewer", "opencv"]


def meshes_of(result: Reconstruction) -> list[Mesh]:
    """The hands of `result` as meshes in the camera frame; a left hand's faces are reversed, so that all wind outwards."""
    return [Mesh(hand.vertices, _faces_of(hand, result.faces)) for hand in result.hands]


def write_obj(
    meshes: Reconstruction | Sequence[Mesh] | Mesh,
    path: str | Path,
    *,
    hand_id: int | None = None,
    frame: Frame = "viewer",
) -> Path:
    """Write a Wavefront OBJ with vertex colours and normals; several hands are joined.

    Args:
        meshes: a result, or meshes in the camera frame.
        hand_id: only the hand of `result` that has this id.

    Raises:
        ValueError: there is no such hand, or nothing to write.
    """
    joined = _joined(named_meshes(meshes, hand_id), frame)
    text = trimesh.exchange.obj.export_obj(joined, include_normals=True, include_color=True)
    return write_atomic(path, text.encode())


def write_ply(
    meshes: Reconstruction | Sequence[Mesh] | Mesh,
    path: str | Path,
    *,
    hand_id: int | None = None,
    frame: Frame = "viewer",
) -> Path:
    """Write a binary PLY with vertex colours and normals; arguments and errors as of `write_obj`."""
    joined = _joined(named_meshes(meshes, hand_id), frame)
    return write_atomic(path, trimesh.exchange.ply.export_ply(joined, vertex_normal=True))


def write_glb(
    meshes: Reconstruction | Sequence[Mesh] | Mesh,
    path: str | Path,
    *,
    hand_id: int | None = None,
    frame: Frame = "viewer",
) -> Path:
    """Write a binary glTF with a named object, material and normals for every hand; arguments and errors as `write_obj`."""
    scene = trimesh.Scene()
    for name, mesh in named_meshes(meshes, hand_id):
        # doubleSided: where the wrist is open one sees the inside.
        material = PBRMaterial(
            name=name,
            baseColorFactor=_rgba(mesh),
            metallicFactor=0.0,
            roughnessFactor=0.6,
            doubleSided=True,
        )
        visual = trimesh.visual.TextureVisuals(material=material)
        scene.add_geometry(_trimesh(mesh, frame, visual), geom_name=name, node_name=name)
    return write_atomic(path, trimesh.exchange.gltf.export_glb(scene, include_normals=True))


def _faces_of(hand: Hand, right_faces: np.ndarray) -> np.ndarray:
    # The original reverses in this way, keeping a face's first corner.
    return right_faces if hand.is_right else right_faces[:, [0, 2, 1]]


def named_meshes(meshes: Reconstruction | Sequence[Mesh] | Mesh, hand_id: int | None) -> list[tuple[str, Mesh]]:
    """Meshes with names that say which hand each is."""
    if isinstance(meshes, Reconstruction):
        hands = [hand for hand in meshes.hands if hand_id is None or hand.id == hand_id]
        if hand_id is not None and not hands:
            raise ValueError(f"hand_id must be one of {[hand.id for hand in meshes.hands]}, got {hand_id}")
        named = [
            (
                f"hand_{hand.id}_{'right' if hand.is_right else 'left'}",
                Mesh(hand.vertices, _faces_of(hand, meshes.faces)),
            )
            for hand in hands
        ]
    else:
        if hand_id is not None:
            raise ValueError(
                "hand_id chooses among the hands of a Reconstruction; pass only the meshes you want instead"
            )
        given = [meshes] if isinstance(meshes, Mesh) else list(meshes)
        named = [(f"hand_{number}", mesh) for number, mesh in enumerate(given)]
    if not named:
        raise ValueError("there is no hand to write: this result has none, and an empty mesh file opens nowhere")
    return named


def _joined(named: list[tuple[str, Mesh]], frame: Frame) -> trimesh.Trimesh:
    """All meshes as one with coloured vertices, in the order given."""
    counts = np.cumsum([0, *(len(mesh.vertices) for _, mesh in named)])
    vertices = np.concatenate([mesh.vertices for _, mesh in named])
    faces = np.concatenate([mesh.faces + start for (_, mesh), start in zip(named, counts, strict=False)])
    colors = np.concatenate([np.tile(_rgba(mesh), (len(mesh.vertices), 1)) for _, mesh in named])
    return _trimesh(Mesh(vertices, faces), frame, trimesh.visual.ColorVisuals(vertex_colors=colors))


def _trimesh(
    mesh: Mesh, frame: Frame, visual: trimesh.visual.ColorVisuals | trimesh.visual.TextureVisuals
) -> trimesh.Trimesh:
    """`process=False` keeps trimesh from merging and reordering vertices."""
    axes = _axes(frame)
    normals = vertex_normals(mesh.vertices, mesh.faces)
    return trimesh.Trimesh(
        mesh.vertices * axes, mesh.faces, vertex_normals=normals * axes, visual=visual, process=False, validate=False
    )


def _axes(frame: Frame) -> np.ndarray:
    if frame not in ("viewer", "opencv"):
        raise ValueError(f"frame must be 'viewer' (y up) or 'opencv' (y down, the camera's), got {frame!r}")
    return np.array([1.0, -1.0, -1.0]) if frame == "viewer" else np.ones(3)


def _rgba(mesh: Mesh) -> np.ndarray:
    return np.array([*mesh.color, 1.0])
