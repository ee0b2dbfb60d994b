"""Where things are on a hand in its rest pose: fingers, phalanges and the sides that face the back of the hand.

Letters: F = 5 fingers in MANO's order (index, middle, little, ring, thumb), K = 3 phalanges from the base to the tip,
V vertices. Metres, the model's own rest pose: fingers along -x, palm facing -y, thumb toward +z (MANO's axes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.vectors import unit
from hamer.fitting.anatomy import THUMB, THUMB_ROLL_DEGREES
from hamer.hand_models.arrays import HandModelArrays

TIPS_IN_MANO_ORDER = (1, 2, 4, 3, 0)
"""`fingertips` come thumb to little; these positions put them in the order of MANO's fingers."""


@dataclass(frozen=True)
class RestAnatomy:
    """Landmarks of one rest hand.

    joints (16, 3); nodes (F, 4, 3): three joints and the tip of each finger; reach (F, 4): arc length of the nodes
    from the first; bones (F, K, 3) unit vectors toward the tip; dorsal (F, K, 3) unit vectors to the nail's side;
    lateral (F, K, 3) = bone x dorsal.
    """

    joints: np.ndarray
    nodes: np.ndarray
    reach: np.ndarray
    bones: np.ndarray
    dorsal: np.ndarray
    lateral: np.ndarray

    @classmethod
    def of(cls, arrays: HandModelArrays) -> RestAnatomy:
        """Measure the landmarks of a hand model's mean shape."""
        joints = np.asarray(arrays.J_regressor @ arrays.v_template, np.float64)
        tips = np.asarray(arrays.v_template[arrays.fingertips], np.float64)[list(TIPS_IN_MANO_ORDER)]
        nodes = np.concatenate([joints[1:].reshape(5, 3, 3), tips[:, None]], axis=1)
        steps = np.diff(nodes, axis=1)
        lengths = np.linalg.norm(steps, axis=-1)
        bones = steps / lengths[..., None]
        reach = np.concatenate([np.zeros((5, 1)), lengths.cumsum(axis=1)], axis=1)
        whole = unit(nodes[:, 3] - nodes[:, 0])
        back = np.tile([0.0, 1.0, 0.0], (5, 1))
        back[THUMB] = _thumb_back(whole[THUMB])
        dorsal = unit(back[:, None] - (back[:, None] * bones).sum(-1, keepdims=True) * bones)
        return cls(joints, nodes, reach, bones, dorsal, np.cross(bones, dorsal))

    def vertex_dorsal(self, weights: np.ndarray) -> np.ndarray:
        """The direction toward the back of the hand (V, 3) at points with skinning weights (V, 16).

        The metacarpals share one direction (+y); each phalanx has its own, so that a thumb's sides are told by the
        thumb.
        """
        table = np.concatenate([[[0.0, 1.0, 0.0]], self.dorsal.reshape(15, 3)])
        # The base of the thumb belongs to the palm (the thenar) as much as to the thumb.
        table[1 + 3 * THUMB] = unit(table[1 + 3 * THUMB] + table[0])
        return unit(weights @ table)


def _thumb_back(bone: np.ndarray) -> np.ndarray:
    """The back of the thumb: opposite to its pad, which is rolled from the palm's direction toward the fingers."""
    back = np.array([0.0, 1.0, 0.0])
    back = unit(back - (back @ bone) * bone)
    side = np.cross(bone, back)
    side = side if side[2] > 0 else -side
    roll = np.deg2rad(THUMB_ROLL_DEGREES)
    return np.cos(roll) * back + np.sin(roll) * side
