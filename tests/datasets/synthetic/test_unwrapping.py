"""Texture coordinates of hands: they use the square, do not fold, and serve meshes that have none."""

from __future__ import annotations

import numpy as np
import pytest

from hamer.checkpoints.hand_files import load_open_hand
from hamer.datasets.synthetic.skin.rest_anatomy import RestAnatomy
from hamer.datasets.synthetic.skin.texels import Texels
from hamer.datasets.synthetic.skin.unwrapping import MARGIN, hand_uv
from hamer.hand_models.arrays import HandModelArrays


@pytest.fixture(scope="module")
def arrays() -> HandModelArrays:
    return load_open_hand()


def coarse_hand(arrays: HandModelArrays, cell: float = 0.006) -> HandModelArrays:
    """A hand without texture coordinates and with about as few vertices as MANO: vertices of one cell are merged.

    Cells hold vertices of one bone only, so that fingers do not grow together; the wrist's loop stays as it is.
    """
    part = arrays.lbs_weights.argmax(axis=1)
    edges = np.sort(arrays.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    pairs, counts = np.unique(edges, axis=0, return_counts=True)
    keys = np.concatenate([np.floor(arrays.v_template / cell).astype(int), part[:, None]], axis=1)
    loop = np.unique(pairs[counts == 1])
    keys[loop] = 100_000 + np.arange(len(loop))[:, None]
    keys[arrays.fingertips] = 200_000 + np.arange(5)[:, None]
    _, first, cluster = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    cluster = cluster.ravel()
    faces = cluster[arrays.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    regressor = np.zeros((16, len(first)))
    np.add.at(regressor.T, cluster, arrays.J_regressor.T)
    chosen = arrays.v_template[first]
    # Merging moved vertices; the joints must stay where they were for the anatomy to fit.
    correction = arrays.J_regressor @ arrays.v_template - regressor @ chosen
    regressor += correction @ np.linalg.pinv(chosen)
    return HandModelArrays(
        name="mano",
        v_template=chosen,
        shapedirs=arrays.shapedirs[first],
        posedirs=arrays.posedirs[first],
        J_regressor=regressor.astype(np.float32),
        lbs_weights=arrays.lbs_weights[first],
        faces=faces,
        fingertips=cluster[arrays.fingertips],
    )


def signed_areas(uv: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b = uv[faces[:, 1]] - uv[faces[:, 0]], uv[faces[:, 2]] - uv[faces[:, 0]]
    return (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2


def surface_areas(arrays: HandModelArrays) -> np.ndarray:
    corners = arrays.v_template[arrays.faces].astype(np.float64)
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


@pytest.mark.parametrize("make", [lambda hand: hand, coarse_hand], ids=["open", "coarse"])
def test_layout_uses_the_square_without_folds(arrays: HandModelArrays, make) -> None:
    hand = make(arrays)
    uv, faces = hand_uv(hand)
    assert uv.dtype == np.float32
    assert faces.shape == hand.faces.shape
    assert uv.min() >= 0.9 * MARGIN
    assert uv.max() <= 1 - 0.9 * MARGIN
    areas, surface = signed_areas(uv, faces), surface_areas(hand)
    orientation = np.sign(np.median(areas[uv[faces[:, 0], 0] < 0.5]))
    folded = surface[np.sign(areas) != orientation].sum() / surface.sum()
    assert folded < 0.01  # slivers may turn over; a folded finger would be a twentieth of the surface
    assert np.abs(areas).sum() > 0.4  # two flat hands in a square leave the gaps between their fingers


def test_texels_are_spread_evenly(arrays: HandModelArrays) -> None:
    uv, faces = hand_uv(arrays)
    density = np.abs(signed_areas(uv, faces)) / np.maximum(surface_areas(arrays), 1e-12)
    order = np.argsort(density)
    share = np.cumsum(surface_areas(arrays)[order]) / surface_areas(arrays).sum()
    low, high = (density[order][np.searchsorted(share, x)] for x in (0.05, 0.95))
    assert high / low < 2  # a projection to a plane would leave the fingers' sides almost no texels


def test_halves_do_not_touch(arrays: HandModelArrays) -> None:
    uv, faces = hand_uv(arrays)
    left = uv[faces][..., 0] < 0.5
    assert (left.all(axis=1) | ~left.any(axis=1)).all()


def test_faces_keep_their_vertices(arrays: HandModelArrays) -> None:
    uv, faces = hand_uv(arrays)
    owner = np.full(len(uv), -1)
    owner[faces.ravel()] = arrays.faces.ravel()
    assert (owner[faces] == arrays.faces).all()  # a texture point belongs to one vertex
    assert len(uv) < 1.3 * len(arrays.v_template)  # only the cut between the halves is double


def test_coarse_hand_gets_the_same_layout(arrays: HandModelArrays) -> None:
    """A place on the hand has nearly the same texture coordinates in both meshes, so skins look alike on both."""
    fine, coarse = Texels.of(arrays, 96), Texels.of(coarse_hand(arrays), 96)
    common, i, j = np.intersect1d(fine.index, coarse.index, return_indices=True)
    assert len(common) > 0.75 * len(fine.index)
    distance = np.linalg.norm(fine.position[i] - coarse.position[j], axis=1)
    assert np.median(distance) < 0.008  # 4 texels of 2 mm: merging vertices changes the cut and so the layout's box


def test_anatomy_is_orthonormal(arrays: HandModelArrays) -> None:
    anatomy = RestAnatomy.of(arrays)
    frames = np.stack([anatomy.bones, anatomy.dorsal, anatomy.lateral], axis=-1)
    np.testing.assert_allclose(
        frames.transpose(0, 1, 3, 2) @ frames, np.broadcast_to(np.eye(3), frames.shape), atol=1e-9
    )
    assert (anatomy.dorsal[:4, :, 1] > 0.8).all()  # fingers' backs look up as the hand's does
    assert anatomy.dorsal[4, 2, 2] > 0.3  # the thumb's nail is rolled away from the fingers


def test_texels_lie_on_the_surface(arrays: HandModelArrays) -> None:
    texels = Texels.of(arrays, 64)
    nearest = np.linalg.norm(texels.position[:, None, :] - arrays.v_template[None], axis=-1).min(axis=1)
    assert nearest.max() < 0.016  # no vertex is farther than a wide face's edge
    np.testing.assert_allclose(np.linalg.norm(texels.normal, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(texels.weights.sum(axis=1), 1, atol=1e-4)
    picture = texels.image(np.arange(len(texels.index), dtype=np.float32), fill=-1)
    assert (picture.ravel()[texels.index] == np.arange(len(texels.index))).all()
    assert (picture == -1).sum() == 64 * 64 - len(texels.index)
