"""From the points of the landmark model to the joints of MANO, which are not quite the same places on a hand.

The landmark model was taught what people click on: knuckles on the skin, the nails' middle, the narrow part of the wrist.
MANO's joints lie inside the hand, its fingertips at the very end, its wrist below the palm. The difference is a few per
cent of the hand's size and the same for all hands, so that whoever takes one for the other draws a mesh whose fingers and
wrist end early. It is written here as a few steps along the hand's own lines, which no rotation, scale or mirror changes.
`tools/measure_landmarks.py` measures them on made pictures, where the joints are known exactly.
"""

from __future__ import annotations

import numpy as np

Steps = dict[int, dict[int, float]]
"""Joint: the parts of the way from its own point towards others that it lies at."""

_STEPS: Steps = {
    0: {5: -0.07},
    1: {0: 0.25, 2: 0.09, 5: 0.09, 17: -0.10}, 2: {1: 0.12}, 3: {2: 0.08, 4: 0.09}, 4: {2: -0.16},
    5: {6: 0.10, 9: -0.07}, 6: {7: 0.06}, 7: {8: 0.06}, 8: {7: -0.40},
    9: {10: 0.22}, 12: {11: -0.38},
    13: {0: 0.07, 1: -0.12, 5: 0.14, 14: 0.14, 17: 0.17}, 14: {13: 0.07}, 16: {14: -0.07, 15: -0.25},
    17: {0: 0.08, 1: -0.08, 18: 0.18}, 18: {17: 0.09}, 19: {18: 0.13, 20: 0.06}, 20: {19: -0.35},
}  # fmt: skip
"""In the order of `hamer.hand_models.joints`; parts below 0.06 are left out."""


def matrix_of(steps: Steps) -> np.ndarray:
    """(21, 21), rows that sum to 1: joints are this times the landmark model's points."""
    matrix = np.eye(21)
    for joint, parts in steps.items():
        for other, part in parts.items():
            matrix[joint, other] += part
            matrix[joint, joint] -= part
    return matrix


MATRIX = matrix_of(_STEPS)
"""Of the steps in use."""


def joints_of_landmarks(points: np.ndarray) -> np.ndarray:
    """MANO's joints (..., 21, 2) px in a picture from the landmark model's points (..., 21, 2) px; NaN spreads to neighbours.

    Not for the model's guess in 3D, whose errors are others: measured on made pictures, it does not come nearer so.
    """
    return MATRIX @ points
