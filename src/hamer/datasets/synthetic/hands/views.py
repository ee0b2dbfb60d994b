"""Where the camera stands: half of the views from all around, half as people show, watch and photograph hands.

Model axes of the right hand: fingers along -x, palm facing -y, thumb toward +z. Camera: x right, y down, z forward;
metres. The focal length and the distance are those of real cameras, so near hands show strong perspective. One hand is
placed at a time: its view does not depend on the batch, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hamer.compiling import jit
from hamer.datasets.synthetic.hands.skinning import skinner_of
from hamer.datasets.synthetic.vectors import rotation_of, uniform_rotation
from hamer.hand_models.layer import HandModel

FOCAL = (0.7, 3.0)  # of the picture's longer side: a wide phone camera to a portrait lens
SHARE = (0.30, 0.60)  # of the picture's shorter side that the longer side of the hand's tight box takes
UNIFORM_SHARE, CUT_SHARE = 0.5, 0.10
CUT_DEPTH = (0.08, 0.35)  # of the box that lies beyond the picture's edge where a picture cuts the hand
NEAREST = 0.12  # metres from the camera to the nearest skin
# Fingers that point straight away from the camera (cosine) would have the forearm, or its owner, where the camera is.
ALONG_FOREARM, LOOKS = 0.9, 8
PLACEMENT_STEPS = 40
Vector = np.ndarray


@dataclass
class Views:
    """N views: `global_orient` (N, 3, 3), `translation` (N, 3) m, `camera_matrix` (N, 3, 3) px, float32; the skin
    `vertices` (N, V, 3) and `joints` (N, 21, 3) m in the camera frame; `habit` N names; `cut` (N,) the picture's edge
    was meant to cut the hand.
    """

    global_orient: np.ndarray
    translation: np.ndarray
    camera_matrix: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    habit: list[str]
    cut: np.ndarray


def draw_views(
    hand_pose: np.ndarray,
    betas: np.ndarray,
    rngs: Sequence[np.random.Generator],
    model: HandModel,
    width: int,
    height: int,
) -> Views:
    """A view for each of N hands, the i-th from rngs[i] alone.

    Args:
        hand_pose: (N, 15, 3, 3) rotations.
        betas: (N, 10).
        rngs: N generators.
        model: the hand model that will be drawn.
        width, height: of the picture, px.

    Raises:
        ValueError: unless there is one generator per hand.
    """
    n = len(hand_pose)
    if len(rngs) != n or len(betas) != n:
        raise ValueError(
            f"draw_views: betas and rngs must hold {n} hands as hand_pose does, got {len(betas)}, {len(rngs)}"
        )
    orient, translation = np.empty((n, 3, 3), np.float32), np.empty((n, 3), np.float32)
    cameras = np.tile(np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]], np.float32), (n, 1, 1))
    vertices, joints = np.empty((n, model.n_vertices, 3), np.float32), np.empty((n, 21, 3), np.float32)
    habits, cut = [], np.zeros(n, bool)
    skinner = skinner_of(model.arrays)
    for i, rng in enumerate(rngs):
        habit, orient[i], metres = _draw_look(rng)
        skin, nodes = skinner.pose(orient[i], hand_pose[i], betas[i])
        cut[i] = rng.random() < CUT_SHARE
        focal, translation[i] = _place(rng, skin, metres, bool(cut[i]), width, height)
        cameras[i, 0, 0] = cameras[i, 1, 1] = focal
        vertices[i], joints[i] = skin + translation[i], nodes + translation[i]
        habits.append(habit)
    return Views(orient, translation, cameras, vertices, joints, habits, cut)


def _draw_look(rng: np.random.Generator) -> tuple[str, np.ndarray, tuple[float, float]]:
    """The habit's name, the wrist's rotation (3, 3), and the range of distances that goes with it, metres."""
    for _ in range(LOOKS):
        if rng.random() < UNIFORM_SHARE:
            name, turn, metres = "anywhere", uniform_rotation(rng), (0.2, 2.0)
        else:
            names = list(HABITS)
            name = names[rng.choice(len(names), p=[HABITS[n][0] for n in names])]
            _, look, wobble, metres = HABITS[name]
            turn = rotation_of(wobble * rng.normal(size=3)) @ facing(*look(rng))
        if -turn[2, 0] < ALONG_FOREARM:
            break
    return name, turn, metres


def facing(fingers: Vector, palm: Vector) -> np.ndarray:
    """The wrist's rotation (3, 3) that points the fingers along `fingers` (3,) and the palm, as far as it can, `palm`."""
    f = fingers / np.linalg.norm(fingers)
    p = palm - (palm @ f) * f
    p = p / np.linalg.norm(p)
    return np.stack([-f, -p, np.cross(f, p)], axis=1)


def _direction(rng: np.random.Generator, middle: Sequence[float], width: float) -> Vector:
    """A direction around `middle`, off by about `width` (1 = 57 degrees)."""
    return np.asarray(middle, float) / np.linalg.norm(middle) + width * rng.normal(size=3) / math.sqrt(3)


def _own_hand(rng: np.random.Generator) -> tuple[Vector, Vector]:
    """Looking at one's own right hand: fingers ahead and up, the back, the thumb's side or the palm in sight."""
    fingers = _direction(rng, (-0.35, rng.uniform(-1.3, -0.1), 0.6), 0.5)
    seen = ((0.1, 0.7, 0.7), (-1.0, 0.3, 0.1), (0.0, -0.3, -1.0))[rng.choice(3, p=[0.45, 0.35, 0.2])]
    return fingers, _direction(rng, seen, 0.4)


def _of_others(rng: np.random.Generator) -> tuple[Vector, Vector]:
    """Somebody before the camera: hands that hang, gesture, reach out or hold something."""
    middle = ((0.1, 1.0, 0.0), (0.2, -1.0, -0.2), (0.6, 0.1, -0.8), (0.9, 0.2, 0.0))[rng.choice(4)]
    return _direction(rng, middle, 0.5), _direction(rng, (rng.choice([-1.0, 0.3, 1.0]), 0.2, -0.4), 0.6)


def _selfie(rng: np.random.Generator) -> tuple[Vector, Vector]:
    """A sign held up beside the face, or the hand that reaches toward the camera."""
    fingers = _direction(rng, ((0, -1.0, 0), (0.2, -0.4, -1.0))[int(rng.random() < 0.3)], 0.4)
    return fingers, _direction(rng, (0.0, 0.0, -1.0 if rng.random() < 0.7 else 1.0), 0.5)


def _palm_forward(rng: np.random.Generator) -> tuple[Vector, Vector]:
    """A gesture to the camera: fingers up, the palm or the back of the hand to it."""
    return _direction(rng, (0, -1.0, 0), 0.3), _direction(rng, (0, 0, -1.0 if rng.random() < 0.75 else 1.0), 0.3)


def _on_table(rng: np.random.Generator) -> tuple[Vector, Vector]:
    """Lying or working on a table that the camera looks down on, mostly palm down."""
    pitch, azimuth = math.radians(rng.uniform(15, 85)), rng.uniform(0, 2 * math.pi)
    down = np.array([0.0, math.cos(pitch), math.sin(pitch)])
    ahead = np.array([0.0, -math.sin(pitch), math.cos(pitch)])
    fingers = math.cos(azimuth) * ahead + math.sin(azimuth) * np.array([1.0, 0, 0])
    palm = (down, -down, np.cross(down, fingers), np.cross(fingers, down))[rng.choice(4, p=[0.65, 0.15, 0.1, 0.1])]
    return fingers, palm


Look = Callable[[np.random.Generator], tuple[Vector, Vector]]
HABITS: dict[str, tuple[float, Look, float, tuple[float, float]]] = {
    "own": (0.32, _own_hand, 0.20, (0.30, 0.60)),
    "others": (0.25, _of_others, 0.25, (0.50, 3.00)),
    "selfie": (0.13, _selfie, 0.20, (0.25, 0.70)),
    "palm": (0.12, _palm_forward, 0.15, (0.35, 1.50)),
    "table": (0.18, _on_table, 0.12, (0.30, 1.00)),
}
"""Share, how fingers and palm point, wobble of the wrist in radians, and metres from the camera, per habit."""


def _place(
    rng: np.random.Generator, skin: np.ndarray, metres: tuple[float, float], cut: bool, width: int, height: int
) -> tuple[float, np.ndarray]:
    """Focal length in px and translation (3,) float32: the skin (V, 3) gets a drawn share and a drawn place.

    The focal length follows from the distance at which such pictures are taken, as far as lenses allow; the distance
    then follows exactly from the focal length.
    """
    longer = max(width, height)
    box = rng.uniform(*SHARE) * min(width, height)
    reach = float(np.ptp(skin[:, :2], axis=0).max())
    distance = math.exp(rng.uniform(*np.log(metres)))
    focal = float(np.clip(box * distance / (reach * longer), *FOCAL))
    place = rng.uniform(-1, 1, 2)
    place *= np.sqrt(np.abs(place))  # nearer to the centre than to the edge, on the whole
    axis, sign, beyond = int(rng.integers(2)), float(rng.choice([-1.0, 1.0])), rng.uniform(*CUT_DEPTH)
    if cut:
        place[axis] = 0.0
    cut_axis, outside = (axis, sign * beyond) if cut else (-1, 0.0)
    while True:
        translation = _fit(skin, focal * longer, box, place, cut_axis, outside, float(width), float(height))
        if skin[:, 2].min() + translation[2] >= NEAREST or focal >= FOCAL[1]:
            return focal * longer, translation.astype(np.float32)
        focal = min(1.25 * focal, FOCAL[1])


@jit
def _fit(
    skin: np.ndarray,
    focal: float,
    box: float,
    place: np.ndarray,
    cut_axis: int,
    outside: float,
    width: float,
    height: float,
) -> np.ndarray:
    """Translation (3,) for which the longer side of the skin's box is `box` px and lies at its place.

    `place` (2,): the box's middle from -1 to 1, where it touches the edges; along `cut_axis` (-1 none) the share
    `outside` of the box lies beyond the picture's right or lower edge, or beyond the left or upper one if negative.
    """
    low, high = np.empty(3), np.empty(3)
    for k in range(3):
        low[k], high[k] = 1e9, -1e9
        for i in range(len(skin)):
            low[k], high[k] = min(low[k], skin[i, k]), max(high[k], skin[i, k])
    size, centre, t = (width, height), np.empty(2), np.empty(3)
    nearest, middle = low[2], 0.5 * (low[2] + high[2])
    t[0], t[1] = -0.5 * (low[0] + high[0]), -0.5 * (low[1] + high[1])
    t[2] = focal * max(high[0] - low[0], high[1] - low[1]) / box - middle
    for _ in range(PLACEMENT_STEPS):
        t[2] = max(t[2], 0.02 - nearest)
        for k in range(2):
            low[k], high[k] = 1e9, -1e9
        for i in range(len(skin)):
            scale = focal / (skin[i, 2] + t[2])
            for k in range(2):
                pixel = (skin[i, k] + t[k]) * scale
                low[k], high[k] = min(low[k], pixel), max(high[k], pixel)
        longer = max(high[0] - low[0], high[1] - low[1])
        error = abs(longer / box - 1)
        for k in range(2):
            extent = high[k] - low[k]
            if k == cut_axis:
                centre[k] = (0.5 * size[k] + (abs(outside) - 0.5) * extent) * (1.0 if outside > 0 else -1.0)
            else:
                centre[k] = 0.95 * place[k] * max(0.5 * (size[k] - extent), 0.0)
            error = max(error, abs(0.5 * (low[k] + high[k]) - centre[k]) / box)
        if error < 1e-3:
            break
        depth = t[2] + middle
        for k in range(2):
            t[k] += (centre[k] - 0.5 * (low[k] + high[k])) * depth / focal
        t[2] += min(max(longer / box - 1, -0.3), 0.6) * depth * 0.8
    return t
