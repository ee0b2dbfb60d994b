"""Where the camera stands: half of the views from everywhere, half as people show, watch and photograph hands.

Model axes of the right hand: fingers along -x, palm facing -y, thumb toward +z. Camera: x right, y down, z forward;
metres. The focal length and the distance are those of real cameras, so near hands show strong perspective. One hand is
placed at a time: its view does not depend on the batch, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hamer.hand_models.layer import HandModel

FOCAL = (0.7, 3.0)  # picture widths: a wide phone camera to a portrait lens
SHARE = (0.30, 0.60)  # of the picture's shorter side that the longer side of the hand's tight box takes
UNIFORM_SHARE, CUT_SHARE = 0.5, 0.10
CUT_DEPTH = (0.08, 0.35)  # of the box that lies beyond the picture's edge where a picture cuts the hand
NEAREST = 0.12  # metres from the camera to the nearest skin
PLACEMENT_STEPS = 12
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
    for i, rng in enumerate(rngs):
        skin, nodes = _hand(model, hand_pose[i], betas[i])
        habit, orient[i], metres = _draw_look(rng)
        turn = orient[i].astype(np.float64)
        wrist = nodes[0].copy()
        skin, nodes = (skin - wrist) @ turn.T + wrist, (nodes - wrist) @ turn.T + wrist
        cut[i] = rng.random() < CUT_SHARE
        focal, translation[i] = _place(rng, skin, metres, bool(cut[i]), width, height)
        cameras[i, 0, 0] = cameras[i, 1, 1] = focal
        vertices[i], joints[i] = skin + translation[i], nodes + translation[i]
        habits.append(habit)
    return Views(orient, translation, cameras, vertices, joints, habits, cut)


def _hand(model: HandModel, pose: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and joints (21, 3) of one hand, unturned; one by one, for products over a batch round otherwise."""
    with torch.no_grad():
        out = model(torch.eye(3)[None], torch.from_numpy(pose)[None], torch.from_numpy(betas)[None])
    return out.vertices[0].double().cpu().numpy(), out.joints[0].double().cpu().numpy()


def _draw_look(rng: np.random.Generator) -> tuple[str, np.ndarray, tuple[float, float]]:
    """The habit's name, the wrist's rotation (3, 3), and the range of distances that goes with it, metres."""
    if rng.random() < UNIFORM_SHARE:
        return "anywhere", _uniform_rotation(rng), (0.2, 2.0)
    names = list(HABITS)
    name = names[rng.choice(len(names), p=[HABITS[n][0] for n in names])]
    _, look, wobble, metres = HABITS[name]
    fingers, palm = look(rng)
    return name, _turn(wobble * rng.normal(size=3)) @ facing(fingers, palm), metres


def facing(fingers: Vector, palm: Vector) -> np.ndarray:
    """The wrist's rotation (3, 3) that points the fingers along `fingers` (3,) and the palm, as far as it can, `palm`."""
    f = fingers / np.linalg.norm(fingers)
    p = palm - (palm @ f) * f
    p = p / np.linalg.norm(p)
    return np.stack([-f, -p, np.cross(f, p)], axis=1)


def _uniform_rotation(rng: np.random.Generator) -> np.ndarray:
    """A rotation uniform over SO(3): a normal quaternion's (Shoemake, Graphics Gems III, 1992)."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def _turn(v: Vector) -> np.ndarray:
    """The rotation (3, 3) of a rotation vector (3,), radians (Rodrigues)."""
    angle = float(np.linalg.norm(v)) + 1e-12
    x, y, z = v / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * k @ k


def _direction(rng: np.random.Generator, middle: Sequence[float], width: float) -> Vector:
    """A direction around `middle`, off by about `width` (1 = 57 degrees)."""
    return np.asarray(middle, float) / np.linalg.norm(middle) + width * rng.normal(size=3) / math.sqrt(3)


def _own_hand(rng: np.random.Generator) -> tuple[Vector, Vector]:
    """Looking at one's own right hand: fingers ahead and up, the back, the thumb's side or the palm in sight."""
    fingers = _direction(rng, (-0.35, rng.uniform(-1.0, 0.2), 0.9), 0.5)
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
    """Focal length in px and translation (3,): the box of the skin (V, 3) gets a drawn size and a drawn place."""
    side = min(width, height)
    share = rng.uniform(*SHARE)
    reach = float(np.ptp(skin[:, :2], axis=0).max())
    distance = math.exp(rng.uniform(*np.log(metres)))
    focal = float(np.clip(share * side * distance / (reach * width), *FOCAL)) * width
    place = rng.uniform(-1, 1, 2)
    axis, sign, beyond = int(rng.integers(2)), float(rng.choice([-1.0, 1.0])), rng.uniform(*CUT_DEPTH)
    size = np.array([width, height], float)
    translation = -(skin.max(0) + skin.min(0)) / 2
    translation[2] += focal * reach / (share * side)
    for attempt in range(PLACEMENT_STEPS * 4):
        if (nearest := skin[:, 2].min() + translation[2]) < 0.25 * NEAREST:
            translation[2] += 0.25 * NEAREST - nearest
        points = skin + translation
        pixels = focal * points[:, :2] / points[:, 2:]
        low, high = pixels.min(0), pixels.max(0)
        box = high - low
        room = np.maximum((size - box) / 2, 0.0)
        centre = 0.92 * place * room
        if cut:
            centre[axis] = sign * (size[axis] / 2 + (beyond - 0.5) * box[axis])
        settled = abs(box.max() / (share * side) - 1) < 0.002 and np.abs((low + high) / 2 - centre).max() < 0.002 * side
        if settled:
            if points[:, 2].min() >= NEAREST or focal >= FOCAL[1] * width:
                break
            focal = min(1.3 * focal, FOCAL[1] * width)
            translation[2] *= 1.3
        depth = float(np.median(points[:, 2]))
        translation[:2] += (centre - (low + high) / 2) * depth / focal
        middle = translation[2] + (skin[:, 2].max() + skin[:, 2].min()) / 2
        translation[2] += middle * (box.max() / (share * side) - 1) * 0.9
    return float(np.float32(focal)), translation.astype(np.float32).astype(np.float64)
