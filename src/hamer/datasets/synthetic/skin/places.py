"""Parts of a hand's skin that differ from others, as soft masks of the place on the rest hand.

Every mask is a vector over the M used texels of `Texels`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.skin.curves import smoothstep
from hamer.datasets.synthetic.skin.noise import fractal
from hamer.datasets.synthetic.skin.texels import Texels
from hamer.fitting.anatomy import THUMB


@dataclass(frozen=True)
class Places:
    """Soft masks (M,) in 0..1 that other layers are drawn within.

    palm: the side without much pigment; back: the opposite; pads: fingertips' and the palm's cushions; knuckles: over
    the back's joints; tips: the ends of the fingers.
    """

    palm: np.ndarray
    back: np.ndarray
    pads: np.ndarray
    knuckles: np.ndarray
    tips: np.ndarray


def places(texels: Texels) -> Places:
    """The masks of one hand model; the palm's border lies on the sides of hand and fingers."""
    wobble = 0.12 * fractal(texels.position, np.random.default_rng(11), scale=0.014, octaves=2)
    side = texels.dorsal + wobble
    palm = smoothstep(0.3, -0.5, side)
    # Pigment returns on the inner side of the wrist, where the palm's skin ends.
    wrist = texels.anatomy.joints[0, 0]
    palm = palm * smoothstep(wrist + 0.008, wrist - 0.026, texels.position[:, 0] + 0.02 * wobble)
    back = smoothstep(-0.1, 0.4, side)
    reach = texels.anatomy.reach[texels.nearest]
    to_tip = reach[:, 3] - texels.along
    on_finger = texels.finger >= 0
    tips = smoothstep(0.022, 0.004, to_tip) * on_finger
    pads = smoothstep(0.020, 0.010, np.abs(to_tip - 0.010)) * on_finger * palm
    pads = np.maximum(pads, 0.8 * palm * _cushions(texels))
    return Places(*(layer.astype(np.float32) for layer in (palm, back, pads, _knuckles(texels) * back, tips)))


def _cushions(texels: Texels) -> np.ndarray:
    """Thenar, hypothenar and the row of pads below the fingers (M,) 0..1."""
    joints = texels.anatomy.joints
    little, wrist, thumb = joints[7], joints[0], joints[14]
    centres = [0.5 * wrist + 0.5 * thumb, 0.55 * wrist + 0.45 * little + [0, 0, -0.008]]
    sizes = [0.018, 0.017]
    for joint in (joints[1], joints[4], joints[10], joints[7]):
        centres.append(joint + np.array([0.004, 0, 0]))
        sizes.append(0.008)
    flat = texels.position[:, [0, 2]]
    blobs = [np.exp(-((flat - c[[0, 2]]) ** 2).sum(axis=1) / (2 * s**2)) for c, s in zip(centres, sizes, strict=True)]
    return np.max(blobs, axis=0)


def _knuckles(texels: Texels) -> np.ndarray:
    """Over the three joints of each finger and the thumb's two (M,) 0..1."""
    result = np.zeros(len(texels.index))
    for f in range(5):
        for k in range(3):
            if f == THUMB and k == 0:
                continue
            radius = 0.0085 if k == 0 else 0.0055
            gap = np.where(texels.nearest == f, texels.along - texels.anatomy.reach[f, k], 1.0)
            spread = np.exp(-(gap**2) / (2 * radius**2) - texels.across**2 / (2 * (1.2 * radius) ** 2))
            result = np.maximum(result, spread)
    return result
