"""What a hand's skin is made of, as functions of the place on the rest hand: the fixed and the varied layers.

Every layer is a vector over the M used texels of `Texels`. Pigment and blood are in the units of `tones`, shade is 0
(flat skin) to 1 (depth of a crease), relief is in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.noise import fractal
from hamer.datasets.synthetic.texels import Texels

THUMB = 4


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


@dataclass(frozen=True)
class Lines:
    """Creases and wrinkles: shade (M,) 0..1, on the palm's side and on the back's, and relief (M,) metres."""

    palmar: np.ndarray
    dorsal: np.ndarray
    relief: np.ndarray


def places(texels: Texels) -> Places:
    """The masks of one hand model; the palm's border lies on the sides of hand and fingers."""
    wobble = 0.12 * fractal(texels.position, np.random.default_rng(11), scale=0.014, octaves=2)
    side = texels.dorsal + wobble
    palm = smoothstep(0.15, -0.45, side)
    # Pigment returns on the inner side of the wrist, where the palm's skin ends.
    wrist = texels.anatomy.joints[0, 0]
    palm = palm * smoothstep(wrist + 0.004, wrist - 0.014, texels.position[:, 0])
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
    index, little, wrist, thumb = joints[1], joints[7], joints[0], joints[14]
    centres = [0.5 * wrist + 0.5 * thumb, 0.55 * wrist + 0.45 * little + [0, 0, -0.008]]
    sizes = [0.018, 0.017]
    for joint in (joints[1], joints[4], joints[10], joints[7]):
        centres.append(joint + [0.004, 0, 0])
        sizes.append(0.008)
    del index
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


def lines(texels: Texels, masks: Places, rng: np.random.Generator) -> Lines:
    """One variant of all creases and wrinkles."""
    warp = 0.0011 * fractal(texels.position, rng, scale=0.009, octaves=2)
    palmar = np.maximum(_finger_creases(texels, warp, rng), palm_lines(texels, warp, rng))
    fine = fine_lines(texels, rng)
    palmar = np.maximum(palmar, 0.32 * fine) * smoothstep(0.1, 0.6, masks.palm)
    palmar = np.maximum(palmar, _wrist_creases(texels, warp, rng))
    dorsal = _knuckle_wrinkles(texels, warp, rng) * masks.back
    dorsal = np.maximum(dorsal, 0.22 * fine * masks.back)
    relief = -3.5e-4 * palmar - 2.6e-4 * dorsal
    return Lines(*(layer.astype(np.float32) for layer in (palmar, dorsal, relief)))


def _finger_creases(texels: Texels, warp: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Creases across the fingers' palm side: one at the last joint, two at the middle one, two at the base."""
    result = np.zeros(len(texels.index))
    for f in range(5):
        own = texels.finger == f
        reach = texels.anatomy.reach[f]
        base = 0.52 * reach[1] if f != THUMB else reach[1]
        middle = reach[1] if f != THUMB else reach[2]
        rows = [(base, 0.7, 0.0007), (middle - 0.0012, 0.9, 0.0007), (middle + 0.0014, 0.7, 0.0006)]
        rows.append((base + 0.0035, 0.45, 0.0005))
        if f != THUMB:
            rows += [(reach[2] - 0.001, 0.9, 0.0007), (reach[2] + 0.0015, 0.3, 0.0005)]
        for centre, depth, width in rows:
            shift = rng.normal(0, 0.0006) + rng.normal(0, 0.06) * texels.across - rng.uniform(0, 12) * texels.across**2
            gap = texels.along - centre - shift + 0.7 * warp
            result = np.maximum(result, own * depth * rng.uniform(0.6, 1.1) * bell(gap, width * rng.uniform(0.8, 1.3)))
    return result


def palm_lines(texels: Texels, warp: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Heart, head and life line and a few lesser ones, drawn between the joints of this hand."""
    joints = texels.anatomy.joints
    index, middle, ring, little, wrist, thumb = (joints[i][[0, 2]] for i in (1, 4, 10, 7, 0, 14))
    down = wrist - middle
    radial = (index - little) / np.linalg.norm(index - little)

    def jitter(points: list[np.ndarray]) -> np.ndarray:
        return np.array(points) + rng.normal(0, 0.0022, (len(points), 2))

    start = index + 0.24 * down + 0.012 * radial
    inner = 0.5 * (wrist + thumb) - 0.016 * radial
    curves = [
        (jitter([little + 0.16 * down - 0.010 * radial, ring + 0.2 * down, middle + 0.16 * down, 0.5 * (index + middle) - 0.02 * down]), 1.0),
        (jitter([start, middle + 0.36 * down, ring + 0.46 * down, little + 0.52 * down - 0.004 * radial]), 0.9),
        (jitter([start, index + 0.42 * down - 0.004 * radial, inner + 0.1 * down, wrist - 0.12 * down + 0.004 * radial]), 1.0),
        (jitter([middle + 0.9 * down, middle + 0.6 * down, middle + 0.22 * down]), rng.uniform(0, 0.5)),
        (jitter([little + 0.75 * down, ring + 0.45 * down, little + 0.1 * down]), rng.uniform(0, 0.4)),
    ]  # fmt: skip
    flat = texels.position[:, [0, 2]] + warp[:, None] * [0.8, 0.6]
    result = np.zeros(len(texels.index))
    for points, depth in curves:
        distance, place = to_curve(flat, spline(points, 24))
        taper = smoothstep(-0.02, 0.12, place) * smoothstep(1.02, 0.8, place)
        result = np.maximum(
            result, depth * rng.uniform(0.55, 1.1) * taper * bell(distance, rng.uniform(0.0007, 0.0011))
        )
    return result


def fine_lines(texels: Texels, rng: np.random.Generator) -> np.ndarray:
    """The net of fine furrows of all skin: ridges of noise, (M,) 0..1."""
    first = np.abs(fractal(texels.position, rng, scale=0.0055, octaves=1))
    second = np.abs(fractal(texels.position * [1.0, 1.0, 2.2], rng, scale=0.006, octaves=1))
    return np.maximum(bell(first, 0.10), 0.8 * bell(second, 0.10))


def _wrist_creases(texels: Texels, warp: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two or three bracelets on the inner side of the wrist."""
    result = np.zeros(len(texels.index))
    start = texels.anatomy.joints[0, 0] - rng.uniform(0.004, 0.010)
    inner = smoothstep(0.2, -0.5, texels.dorsal)
    for row in range(int(rng.integers(1, 4))):
        gap = texels.position[:, 0] - start - row * rng.uniform(0.004, 0.007) + 1.5 * warp
        result = np.maximum(result, rng.uniform(0.3, 0.8) * inner * bell(gap, 0.0008))
    return result


def _knuckle_wrinkles(texels: Texels, warp: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of short wrinkles over the middle and last joints, faint ones over the first."""
    result = np.zeros(len(texels.index))
    for f in range(5):
        own = texels.nearest == f
        for k, strength in ((0, 0.25), (1, 0.85), (2, 0.5)):
            if f == THUMB:
                strength = (0.0, 0.4, 0.8)[k]
            rows = int(rng.integers(3, 6))
            for row in range(rows):
                offset = (row - (rows - 1) / 2) * rng.uniform(0.0016, 0.0023)
                bow = -np.sign(offset) * rng.uniform(0, 25) * texels.across**2  # wrinkles close around the joint
                gap = texels.along - texels.anatomy.reach[f, k] - offset - bow + 0.8 * warp
                short = np.exp(-((texels.across / rng.uniform(0.0035, 0.006)) ** 2))
                result = np.maximum(result, own * strength * rng.uniform(0.5, 1.1) * short * bell(gap, 0.00055))
    return result


def veins(texels: Texels, masks: Places, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Veins (M,) 0..1 on the back of the hand, and the relief (M,) metres of veins and tendons together."""
    joints = texels.anatomy.joints
    knuckle = [joints[i][[0, 2]] for i in (1, 4, 10, 7)]
    wrist = joints[0][[0, 2]] + [0.012, 0.0]
    flat = texels.position[:, [0, 2]] + 0.0016 * np.stack(
        [fractal(texels.position, rng, scale=0.012, octaves=2) for _ in range(2)], axis=1
    )
    vein = np.zeros(len(texels.index))
    for gap in range(3):
        start = 0.5 * (knuckle[gap] + knuckle[gap + 1]) + rng.normal(0, 0.003, 2)
        end = wrist + [rng.normal(0, 0.004), (1 - gap) * 0.010 + rng.normal(0, 0.005)]
        bend = 0.5 * (start + end) + rng.normal(0, 0.006, 2)
        distance, _ = to_curve(flat, spline(np.array([start, bend, end]), 16))
        vein = np.maximum(vein, rng.uniform(0.5, 1.0) * bell(distance, rng.uniform(0.0013, 0.0021)))
        if rng.random() < 0.7:  # a branch to the neighbouring vein
            across = bend + rng.normal(0, 0.003, 2) + [0.0, rng.choice([-0.014, 0.014])]
            distance, _ = to_curve(flat, spline(np.array([start, 0.5 * (start + bend), across]), 12))
            vein = np.maximum(vein, 0.7 * bell(distance, 0.0014))
    tendon = np.zeros(len(texels.index))
    for f, point in enumerate(knuckle):
        distance, place = to_curve(flat, np.linspace(point, wrist + [0, (1.5 - f) * 0.006], 12))
        tendon = np.maximum(tendon, smoothstep(0.9, 0.2, place) * bell(distance, 0.0022))
    before_knuckles = smoothstep(0.012, -0.006, np.where(texels.nearest == THUMB, -1.0, texels.along))
    inside = masks.back * before_knuckles * (texels.finger < 0)
    relief = inside * (5e-4 * vein * rng.uniform(0.3, 1.2) + 6e-4 * tendon * rng.uniform(0.0, 1.2))
    return (vein * inside).astype(np.float32), relief.astype(np.float32)


def to_curve(points: np.ndarray, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (M,) of points (M, 2) from a polyline (n, 2), and the place 0..1 (M,) along it of the closest point."""
    best = np.full(len(points), np.inf)
    place = np.zeros(len(points))
    steps = len(curve) - 1
    for i in range(steps):
        edge = curve[i + 1] - curve[i]
        local = points - curve[i]
        t = np.clip(local @ edge / max(edge @ edge, 1e-16), 0, 1)
        gap = np.hypot(local[:, 0] - t * edge[0], local[:, 1] - t * edge[1])
        closer = gap < best
        best[closer], place[closer] = gap[closer], (i + t[closer]) / steps
    return best, place


def spline(points: np.ndarray, count: int) -> np.ndarray:
    """A smooth polyline (count, 2) through points (n, 2) (Catmull-Rom)."""
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    u = np.linspace(0, len(points) - 1 - 1e-9, count)
    i, t = u.astype(int), (u % 1)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def bell(distance: np.ndarray, width: float) -> np.ndarray:
    """1 on a line, falling to 0 over about twice `width` (same unit as distance)."""
    return np.exp(-((distance / width) ** 2))


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 at `low` and before, 1 at `high` and after, smooth between; `low` may be the larger one."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
