"""Veins and tendons on the back of the hand."""

from __future__ import annotations

import numpy as np

from hamer.datasets.synthetic.skin.curves import bell, smoothstep, spline, to_curve
from hamer.datasets.synthetic.skin.noise import fractal
from hamer.datasets.synthetic.skin.places import Places
from hamer.datasets.synthetic.skin.texels import Texels
from hamer.fitting.anatomy import THUMB


def veins(texels: Texels, masks: Places, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Veins (M,) 0..1 on the back of the hand, and the relief (M,) metres of veins and tendons together."""
    joints = texels.anatomy.joints
    knuckle = [joints[i][[0, 2]] for i in (1, 4, 10, 7)]
    wrist = joints[0][[0, 2]] + np.array([0.012, 0.0])
    flat = texels.position[:, [0, 2]] + 0.0016 * np.stack(
        [fractal(texels.position, rng, scale=0.012, octaves=2) for _ in range(2)], axis=1
    )
    flat[masks.back == 0] = np.inf  # nothing to measure on the palm
    vein = np.zeros(len(texels.index))
    for gap in range(3):
        start = 0.5 * (knuckle[gap] + knuckle[gap + 1]) + rng.normal(0, 0.003, 2)
        end = wrist + np.array([rng.normal(0, 0.004), (1 - gap) * 0.010 + rng.normal(0, 0.005)])
        bend = 0.5 * (start + end) + rng.normal(0, 0.006, 2)
        distance, _ = to_curve(flat, spline(np.array([start, bend, end]), 16))
        vein = np.maximum(vein, rng.uniform(0.5, 1.0) * bell(distance, rng.uniform(0.0013, 0.0021)))
        if rng.random() < 0.7:  # a branch to the neighbouring vein
            across = bend + rng.normal(0, 0.003, 2) + np.array([0.0, rng.choice([-0.014, 0.014])])
            distance, _ = to_curve(flat, spline(np.array([start, 0.5 * (start + bend), across]), 12))
            vein = np.maximum(vein, 0.7 * bell(distance, 0.0014))
    tendon = np.zeros(len(texels.index))
    for f, point in enumerate(knuckle):
        distance, place = to_curve(flat, np.linspace(point, wrist + np.array([0, (1.5 - f) * 0.006]), 12))
        tendon = np.maximum(tendon, smoothstep(0.9, 0.2, place) * bell(distance, 0.0022))
    before_knuckles = smoothstep(0.012, -0.006, np.where(texels.nearest == THUMB, -1.0, texels.along))
    inside = masks.back * before_knuckles * (texels.finger < 0)
    relief = inside * (5e-4 * vein * rng.uniform(0.3, 1.2) + 6e-4 * tendon * rng.uniform(0.0, 1.2))
    return (vein * inside).astype(np.float32), relief.astype(np.float32)
