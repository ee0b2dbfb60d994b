"""Corrective shapes: what linear blend skinning loses at bent joints, as offsets linear in the rotation matrices.

The target is a bend that keeps each point's distance from the joint: a point whose skinning share is s turns by an angle
between 0 and the joint's (dual-quaternion blending of identity and rotation, Kavan et al. 2008), where linear blending
pulls it towards the joint. The difference, taken back to the rest pose, is fitted by the nine entries of R - I.
"""

from __future__ import annotations

import numpy as np

REACH = 0.04
"""Only vertices within this distance (metres) of a joint are corrected."""
SMALLEST = 2e-5
"""Offsets below 0.02 mm a unit are dropped, which keeps the file small."""
SAMPLES, RIDGE = 150, 1e-3
FOLD_COSINE = 0.0


def rotation(vectors: np.ndarray) -> np.ndarray:
    """Axis-angle (N, 3) to matrices (N, 3, 3)."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    axis = vectors / np.maximum(angle[:, 0], 1e-12)
    k = np.zeros((len(vectors), 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    k -= np.swapaxes(k, 1, 2)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def descendants(joint: int) -> list[int]:
    """The joint and those after it on the same finger."""
    return [k for k in range(joint, 16) if (k - 1) // 3 == (joint - 1) // 3]


def training_rotations(joint: int, axes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rotations that a joint may meet (count, 3), axis-angle: mostly flexion, some abduction and twist."""
    thumb = joint >= 13
    first = joint % 3 == 1
    flexion = rng.uniform(-25, 60 if thumb and first else 105, count)
    side = rng.uniform(-1, 1, count) * (40 if thumb and first else 22 if first else 6)
    turn = rng.uniform(-1, 1, count) * (30 if thumb else 8)
    return np.radians(np.stack([flexion, side, turn], 1)) @ axes[joint - 1]


def bend(points: np.ndarray, share: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Points (N, 3) relative to a joint turned by their `share` (N,) of the rotation vector (3,), without losing length.

    The dual-quaternion blend of identity and q, normalised (1 - s) + s q, is a rotation about the same axis.
    """
    angle = np.linalg.norm(vector)
    part = 2 * np.arctan2(share * np.sin(angle / 2), (1 - share) + share * np.cos(angle / 2))
    return np.einsum("nij,nj->ni", rotation(part[:, None] * vector / angle), points)


def unfold(
    bent: np.ndarray, rest: np.ndarray, share: np.ndarray, vector: np.ndarray, faces: np.ndarray, steps: int = 40
) -> np.ndarray:
    """The bent points (N, 3) with folded-over triangles smoothed away.

    A triangle is folded when its normal opposes the rest normal turned by the triangle's share of the rotation; its
    corners then move towards the middle of their neighbours.
    """
    expected = bend(_normals(rest, faces), share[faces].mean(1), vector)
    bent = bent.copy()
    for _ in range(steps):
        now = _normals(bent, faces)
        cosine = (now * expected).sum(1) / (np.linalg.norm(now, axis=1) * np.linalg.norm(expected, axis=1) + 1e-20)
        folded = np.unique(faces[cosine < FOLD_COSINE])
        if not len(folded):
            break
        total, count = np.zeros_like(bent), np.zeros(len(bent))
        for a, b in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
            np.add.at(total, faces[:, a], bent[faces[:, b]])
            np.add.at(count, faces[:, a], 1.0)
        bent[folded] += 0.5 * (total[folded] / count[folded, None] - bent[folded])
    return bent


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (points[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def joint_corrective(offset: np.ndarray, share: np.ndarray, vectors: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Offsets (N, 3, 9) per entry of R - I for points `offset` (N, 3) from the joint, `share` (N,) moving with it.

    vectors (K, 3): rotations to learn from. faces: of the N points.
    """
    matrices = rotation(vectors)
    features = (matrices - np.eye(3)).reshape(len(vectors), 9)
    target = np.stack([unfold(bend(offset, share, r), offset, share, r, faces) for r in vectors])
    blend = np.eye(3) + share[None, :, None, None] * (matrices - np.eye(3))[:, None]
    wanted = np.linalg.solve(blend, target[..., None])[..., 0] - offset  # (K, N, 3), in the rest pose
    ridge = RIDGE * len(vectors) * np.eye(9)
    solution = np.linalg.solve(features.T @ features + ridge, features.T @ wanted.reshape(len(vectors), -1))
    return solution.reshape(9, len(offset), 3).transpose(1, 2, 0)


def pose_offsets(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, axes: np.ndarray, faces: np.ndarray, seed: int
) -> np.ndarray:
    """posedirs (V, 3, 135) of rest vertices (V, 3)."""
    rng = np.random.default_rng(seed)
    offsets = np.zeros((len(vertices), 3, 135))
    for joint in range(1, 16):
        share = weights[:, descendants(joint)].sum(1)
        near = (share > 1e-3) & (share < 1 - 1e-3) & (np.linalg.norm(vertices - joints[joint], axis=1) < REACH)
        ring = np.zeros(len(vertices), bool)
        ring[faces[near[faces].any(1)]] = True  # the neighbours take part in unfolding, but stay where they are
        chosen = np.flatnonzero(ring)
        local_faces = np.searchsorted(chosen, faces[ring[faces].all(1)])
        vectors = training_rotations(joint, axes, SAMPLES, rng)
        learned = joint_corrective(vertices[chosen] - joints[joint], share[chosen], vectors, local_faces)
        offsets[chosen, :, 9 * (joint - 1) : 9 * joint] = learned * near[chosen, None, None]
    offsets[np.abs(offsets) < SMALLEST] = 0.0
    return offsets
