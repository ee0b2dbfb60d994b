"""Make the sample pictures of `examples/pictures`: rendered open hands over made backgrounds, so that nobody owns them.

    python tools/make_sample_pictures.py

Each picture has a `truth.json` entry with the joints in pixels and metres, so that the samples also serve as a test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from hamer.geometry.cameras import project_with_camera
from hamer.geometry.intrinsics import default_camera
from hamer.geometry.mirroring import mirror_points
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models import HandModel
from hamer.pipeline.reconstructor import load_hand_model
from hamer.rendering import Mesh, render
from hamer.structures import Camera

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "pictures"
FINGERS = ("index", "middle", "little", "ring", "thumb")  # MANO's order
WIDTH, HEIGHT = 960, 720


@dataclass(frozen=True)
class Pose:
    """`bend` radians of (base, middle, tip) joints by finger, `spread` radians of the base joints, `turn` Euler degrees x y z."""

    bend: dict[str, tuple[float, float, float]]
    turn: tuple[float, float, float]
    spread: dict[str, float]
    thumb: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Placed:
    """A pose at a position in metres, as a right or left hand of a skin colour; betas[0] only."""

    pose: Pose
    position: tuple[float, float, float]
    is_right: bool
    skin: tuple[float, float, float]
    size: float = 0.0


STRAIGHT = dict.fromkeys(FINGERS, (0.08, 0.08, 0.05))
SPREAD = {"index": 0.16, "middle": 0.03, "ring": -0.10, "little": -0.26}


def _curled(*fingers: str, amount: float = 1.35) -> dict[str, tuple[float, float, float]]:
    return {f: (amount, amount * 1.05, amount * 0.6) if f in fingers else STRAIGHT[f] for f in FINGERS}


OPEN = Pose(STRAIGHT, (0, 0, 0), SPREAD)
POINT = Pose(_curled("middle", "ring", "little"), (0, 0, 0), {}, (0.0, 0.45, -0.5))
PEACE = Pose(_curled("ring", "little"), (0, 0, 0), {"index": 0.18, "middle": -0.12}, (0.0, 0.6, -0.6))
RELAXED = Pose(dict.fromkeys(FINGERS, (0.45, 0.5, 0.3)), (0, 0, 0), {"little": -0.1}, (0.0, 0.2, -0.2))


def turned(pose: Pose, x: float, y: float, z: float) -> Pose:
    """`pose` with another orientation in the camera frame, degrees about x, then y, then z."""
    return Pose(pose.bend, (x, y, z), pose.spread, pose.thumb)


def posed_hand(model: HandModel, hand: Placed) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and joints (21, 3) in the camera frame."""
    axis_angle = np.zeros((15, 3), np.float32)
    for number, finger in enumerate(FINGERS):
        for joint in range(3):
            if finger != "thumb":
                axis_angle[3 * number + joint, 2] = hand.pose.bend[finger][joint]
        if finger in hand.pose.spread:
            axis_angle[3 * number, 1] = hand.pose.spread[finger]
    axis_angle[12:15, 1] = hand.pose.thumb
    x, y, z = (torch.deg2rad(torch.tensor(float(a))) for a in hand.pose.turn)
    zero = torch.zeros(())
    turn = aa_to_rotmat(torch.stack([zero, zero, z])) @ aa_to_rotmat(torch.stack([zero, y, zero]))
    turn = turn @ aa_to_rotmat(torch.stack([x, zero, zero]))
    betas = torch.zeros(10)
    betas[0] = hand.size
    with torch.no_grad():
        output = model(turn, aa_to_rotmat(torch.from_numpy(axis_angle)), betas)
    vertices, joints = output.vertices.numpy(), output.joints.numpy()
    if not hand.is_right:
        vertices, joints = mirror_points(vertices), mirror_points(joints)
    shift = np.asarray(hand.position, np.float32) - joints[9]
    return vertices + shift, joints + shift


def forearm(model: HandModel, vertices: np.ndarray, joints: np.ndarray, sleeve: tuple[float, float, float]) -> Mesh:
    """A sleeve from the wrist's rim away from the fingers, so that hands do not float."""
    rim = vertices[np.unique(model.arrays.wrist_faces)]
    centre = rim.mean(0)
    away = centre - joints[9]
    away /= np.linalg.norm(away)
    side = np.cross(away, joints[5] - joints[17])
    side /= np.linalg.norm(side)
    across = np.cross(away, side)
    radius = np.abs((rim - centre) @ np.stack([across, side]).T).max(0) * 1.12
    steps, around = np.linspace(-0.012, 0.30, 12), np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rings = [
        centre
        + s * away
        + (1 + 0.9 * max(s, 0))
        * (radius[0] * np.cos(around)[:, None] * across + radius[1] * np.sin(around)[:, None] * side)
        for s in steps
    ]
    index = np.arange(40)
    quads = [(r * 40 + index, r * 40 + (index + 1) % 40) for r in range(len(steps) - 1)]
    faces = [np.stack(f, 1) for a, b in quads for f in ((a, b, a + 40), (b, b + 40, a + 40))]
    return Mesh(np.concatenate(rings), np.concatenate(faces), sleeve)


def wall(rng: np.random.Generator, color: tuple[int, int, int]) -> np.ndarray:
    """A plastered wall with a soft light from one side."""
    height, width = HEIGHT, WIDTH
    light = np.linspace(1.05, 0.75, width)[None, :, None] * np.linspace(1.03, 0.9, height)[:, None, None]
    rough = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 3)[..., None] * 9
    return np.clip(np.asarray(color, np.float32) * light + rough, 0, 255).astype(np.uint8)


def planks(rng: np.random.Generator) -> np.ndarray:
    """A wooden table top seen from above."""
    base = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    top = 0
    while top < HEIGHT:
        tall = int(rng.integers(90, 150))
        tone = np.asarray([150, 108, 70]) * rng.uniform(0.8, 1.1)
        grain = cv2.GaussianBlur(rng.standard_normal((tall, WIDTH)).astype(np.float32), (0, 0), sigmaX=60, sigmaY=1.2)
        base[top : top + tall] = (tone + grain[..., None] * 160)[: HEIGHT - top]
        base[top : top + 2] *= 0.6
        top += tall
    return np.clip(base, 0, 255).astype(np.uint8)


def compose(
    model: HandModel, background: np.ndarray, hands: list[Placed], camera: Camera, rng: np.random.Generator
) -> np.ndarray:
    """The picture: hands with sleeves over the background, a soft shadow, lens blur and sensor noise."""
    meshes, sleeves = [], {LIGHT: (0.20, 0.27, 0.42), TAN: (0.45, 0.20, 0.20), DARK: (0.25, 0.35, 0.28)}
    for hand in hands:
        vertices, joints = posed_hand(model, hand)
        meshes.append(Mesh(vertices, model.arrays.closed_faces, hand.skin))
        meshes.append(forearm(model, vertices, joints, sleeves[hand.skin]))
    drawn = render(meshes, camera, WIDTH, HEIGHT, supersample=3)
    beside = cv2.warpAffine(drawn.alpha, np.array([[1.0, 0, 18], [0, 1, 22]]), (WIDTH, HEIGHT))
    shadow = cv2.GaussianBlur(beside, (0, 0), 16)[..., None] * 0.35
    picture = background * (1 - shadow)
    alpha = drawn.alpha[..., None]
    mottled = 1 + 0.05 * cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 2)[..., None]
    picture = picture * (1 - alpha) + 255 * drawn.color * mottled * alpha
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.7)
    return np.clip(picture + rng.normal(0, 2.0, picture.shape), 0, 255).astype(np.uint8)


LIGHT, TAN, DARK = (0.93, 0.74, 0.64), (0.80, 0.58, 0.44), (0.50, 0.34, 0.26)


def scenes(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, list[Placed]]]:
    """Name to background and hands."""
    up = (90, 0, 90)  # palm to the camera, fingers up
    return {
        "wave": (wall(rng, (188, 196, 190)), [Placed(turned(OPEN, *up), (0.02, -0.03, 0.62), True, LIGHT)]),
        "desk": (
            planks(rng),
            [
                Placed(turned(RELAXED, -100, 10, 70), (0.13, 0.02, 0.75), True, TAN),
                Placed(turned(RELAXED, -95, 12, 75), (-0.14, 0.0, 0.75), False, TAN),
            ],
        ),
        "point": (wall(rng, (150, 160, 178)), [Placed(turned(POINT, 70, 20, 60), (0.0, -0.02, 0.6), True, DARK)]),
        "peace": (
            wall(rng, (205, 190, 170)),
            [
                Placed(turned(PEACE, *up), (-0.16, -0.05, 0.8), False, TAN),
                Placed(turned(OPEN, 95, 15, 80), (0.17, 0.0, 0.9), True, DARK, 1.0),
            ],
        ),
    }


def main() -> None:
    """Write the pictures and their truth."""
    rng = np.random.default_rng(7)
    model, camera = load_hand_model("open"), default_camera(WIDTH, HEIGHT)
    FOLDER.mkdir(parents=True, exist_ok=True)
    truth = {}
    for name, (background, hands) in scenes(rng).items():
        picture = compose(model, background, hands, camera, rng)
        cv2.imwrite(str(FOLDER / f"{name}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        truth[f"{name}.jpg"] = [_truth(model, hand, camera) for hand in hands]
    (FOLDER / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def _truth(model: HandModel, hand: Placed, camera: Camera) -> dict[str, object]:
    _vertices, joints = posed_hand(model, hand)
    points = project_with_camera(joints, camera)
    return {"is_right": hand.is_right, "keypoints_2d": points.round(2).tolist(), "joints": joints.round(5).tolist()}


if __name__ == "__main__":
    main()
