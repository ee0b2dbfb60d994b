"""Mirroring: involutions that agree with each other, in torch and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hamer.geometry.mirroring import mirror_axis_angle, mirror_faces, mirror_points, mirror_rotmat
from hamer.geometry.rotations import aa_to_rotmat

VECTORS = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mirror", [mirror_points, mirror_axis_angle])
def test_vectors_mirror_back(mirror: object) -> None:
    assert callable(mirror)
    torch.testing.assert_close(mirror(mirror(VECTORS)), VECTORS)
    np.testing.assert_array_equal(mirror(VECTORS.numpy()), mirror(VECTORS).numpy())
    assert mirror(VECTORS.numpy().astype(np.float32)).dtype == np.float32


def test_rotation_forms_agree() -> None:
    torch.testing.assert_close(aa_to_rotmat(mirror_axis_angle(VECTORS)), mirror_rotmat(aa_to_rotmat(VECTORS)))
    rotmat = aa_to_rotmat(VECTORS).numpy()
    np.testing.assert_array_equal(mirror_rotmat(mirror_rotmat(rotmat)), rotmat)


def test_turning_and_mirroring_commute() -> None:
    rotmat, points = aa_to_rotmat(VECTORS), VECTORS.flip(0)
    turned = (rotmat @ points[..., None])[..., 0]
    mirrored = (mirror_rotmat(rotmat) @ mirror_points(points)[..., None])[..., 0]
    torch.testing.assert_close(mirrored, mirror_points(turned))


def test_mirrored_faces_keep_normals_outward() -> None:
    vertices = VECTORS[0].numpy()[:4]
    faces = np.array([[0, 1, 2], [1, 3, 2]])

    def normals(v: np.ndarray, f: np.ndarray) -> np.ndarray:
        return np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])

    mirrored = normals(mirror_points(vertices), mirror_faces(faces))
    np.testing.assert_allclose(mirrored, mirror_points(normals(vertices, faces)))
