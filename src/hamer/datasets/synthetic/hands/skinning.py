"""Skin and joints of one hand at a time, compiled: what `hamer.hand_models.HandModel` computes, the same to the bit in
every batch (matrix products of a batch round differently from those of one hand), and quicker for a single hand.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np

from hamer.compiling import jit
from hamer.datasets.synthetic.hands.collisions import carry, multiply
from hamer.hand_models.arrays import N_JOINTS, HandModelArrays
from hamer.hand_models.joints import MANO_TO_OPENPOSE


@dataclass(frozen=True)
class Skinner:
    """The constants of one model. V vertices, K bones at most that move one vertex.

    template (3 V,), offsets (145, 3 V): coordinates before vertices, metres per beta and per rotation entry; joints
    (16, 3), joint_slopes (16, 3, 10); bones (V, K), weights (V, K); parents (16,); fingertips (5,).
    """

    template: np.ndarray
    offsets: np.ndarray
    joints: np.ndarray
    joint_slopes: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    parents: np.ndarray
    fingertips: np.ndarray

    @classmethod
    def from_arrays(cls, arrays: HandModelArrays) -> Skinner:
        """Lay the model's arrays out for one pass over the vertices."""
        regressor = arrays.J_regressor.astype(np.float64)
        offsets = np.concatenate([arrays.shapedirs, arrays.posedirs], axis=2)  # (V, 3, 145)
        most = max(int((arrays.lbs_weights != 0).sum(axis=1).max()), 1)
        bones = np.argsort(-arrays.lbs_weights, axis=1, kind="stable")[:, :most]
        return cls(
            template=np.ascontiguousarray(arrays.v_template.T.reshape(-1), np.float32),
            offsets=np.ascontiguousarray(offsets.transpose(2, 1, 0).reshape(145, -1), np.float32),
            joints=regressor @ arrays.v_template,
            joint_slopes=np.einsum("jv,vcb->jcb", regressor, arrays.shapedirs.astype(np.float64)),
            bones=np.ascontiguousarray(bones),
            weights=np.ascontiguousarray(np.take_along_axis(arrays.lbs_weights, bones, axis=1), np.float32),
            parents=arrays.parents,
            fingertips=arrays.fingertips,
        )

    def pose(
        self, global_orient: np.ndarray, hand_pose: np.ndarray, betas: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and the 21 joints (21, 3), metres, float32, of (3, 3), (15, 3, 3) and (10,)."""
        rotations = np.concatenate([global_orient[None], hand_pose]).astype(np.float64)
        betas = np.asarray(betas, np.float64)
        rest = self.joints + self.joint_slopes @ betas
        amounts = np.concatenate([betas, (rotations[1:] - np.eye(3)).ravel()]).astype(np.float32)
        skin, posed = _skin(
            self.template, self.offsets, amounts, rotations, rest, self.parents, self.bones, self.weights
        )
        return skin, np.concatenate([posed.astype(np.float32), skin[self.fingertips]])[list(MANO_TO_OPENPOSE)]


def skinner_of(arrays: HandModelArrays) -> Skinner:
    """The constants of a model, laid out once."""
    key = id(arrays)
    if key not in _LAID_OUT:
        _LAID_OUT[key] = Skinner.from_arrays(arrays)
        weakref.finalize(arrays, _LAID_OUT.pop, key, None)
    return _LAID_OUT[key]


_LAID_OUT: dict[int, Skinner] = {}


@jit
def _skin(
    template: np.ndarray,
    offsets: np.ndarray,
    amounts: np.ndarray,
    rotations: np.ndarray,
    rest: np.ndarray,
    parents: np.ndarray,
    bones: np.ndarray,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 and the 16 posed joints (16, 3) float64."""
    n = len(bones)
    shaped = template.copy()
    for k in range(len(amounts)):
        amount = amounts[k]
        if amount != 0.0:
            for i in range(3 * n):
                shaped[i] += amount * offsets[k, i]
    moves = np.empty((N_JOINTS, 12), np.float32)  # rows of rotation and shift that carry rest points to posed points
    world, posed, shift = np.empty((N_JOINTS, 3, 3)), np.empty((N_JOINTS, 3)), np.empty(3)
    identity = np.eye(3)
    for j in range(N_JOINTS):
        parent = parents[j]
        if parent < 0:
            multiply(identity, rotations[j], world[j])
            carry(identity, rest[j], 0.0, 0.0, 0.0, posed[j])
        else:
            multiply(world[parent], rotations[j], world[j])
            x, y, z = rest[j, 0] - rest[parent, 0], rest[j, 1] - rest[parent, 1], rest[j, 2] - rest[parent, 2]
            carry(world[parent], posed[parent], x, y, z, posed[j])
        carry(world[j], posed[j], -rest[j, 0], -rest[j, 1], -rest[j, 2], shift)
        for r in range(3):
            for c in range(3):
                moves[j, 4 * r + c] = world[j, r, c]
            moves[j, 4 * r + 3] = shift[r]
    skin = np.empty((n, 3), np.float32)
    move = np.empty(12, np.float32)
    for v in range(n):
        for i in range(12):
            move[i] = 0.0
        for k in range(bones.shape[1]):
            weight, bone = weights[v, k], bones[v, k]
            if weight != 0.0:
                for i in range(12):
                    move[i] += weight * moves[bone, i]
        x, y, z = shaped[v], shaped[n + v], shaped[2 * n + v]
        for r in range(3):
            skin[v, r] = move[4 * r] * x + move[4 * r + 1] * y + move[4 * r + 2] * z + move[4 * r + 3]
    return skin, posed
