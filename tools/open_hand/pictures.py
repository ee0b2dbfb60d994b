"""Pictures for the open hand's card: betas, joint motions, poses, joints inside the mesh. Look at them after every build.

python tools/open_hand/pictures.py         # needs this package only; writes docs/images/open_hand_*.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from open_hand.poses import FINGERS, joint_axes, relaxed_pose

from hamer.checkpoints.hand_files import load_open_hand
from hamer.hand_models import HandModel
from hamer.rendering import Mesh, draw_keypoints, render
from hamer.structures import Camera

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SKIN = (0.85, 0.72, 0.63)
DISTANCE = 2.0
"""Metres from the camera: far, so that the pictures show little perspective."""

PALM = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""Rows: the camera's x, y (down), z (forward) in the hand's frame; fingers up, the palm in front."""
BACK = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])
THUMB_SIDE = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])

POSES: dict[str, dict[str, tuple[float, ...]]] = {
    # degrees: flexion of the three joints, then abduction and twist of the first
    "rest": {},
    "fist": {
        "index": (84, 104, 66), "middle": (86, 104, 68), "ring": (86, 104, 68), "little": (86, 98, 64),
        "thumb": (38, 30, 52, -25, 8),
    },
    "pinch": {"index": (48, 60, 58, 11), "thumb": (31, 14, 6, -5, 17)},
    "opposition": {"little": (62, 64, 60, 11), "thumb": (46, 38, 30, -37, 6)},
    "spread": {"index": (0, 0, 0, 12), "ring": (0, 0, 0, -10), "little": (0, 0, 0, -20), "thumb": (-12, 0, 0, 8)},
    "pointing": {"middle": (80, 95, 60), "ring": (82, 95, 60), "little": (84, 90, 55), "thumb": (38, 30, 45, -22, 8)},
}  # fmt: skip


class Studio:
    """Draws the open hand in poses given in degrees."""

    def __init__(self) -> None:
        self.arrays = load_open_hand()
        self.model = HandModel(self.arrays)
        self.axes = joint_axes((self.arrays.J_regressor @ self.arrays.v_template).astype(float))

    def pose(self, fingers: dict[str, tuple[float, ...]]) -> np.ndarray:
        """Axis-angle (15, 3) of finger -> (flexion 1, 2, 3, abduction, twist) in degrees."""
        vectors = np.zeros((15, 3))
        for finger, degrees in fingers.items():
            first = 3 * FINGERS.index(finger)
            angles = np.radians([*degrees, 0.0, 0.0][:5])
            for k in range(3):
                vectors[first + k] += angles[k] * self.axes[first + k, 0]
            vectors[first] += angles[3] * self.axes[first, 1] + angles[4] * self.axes[first, 2]
        return vectors

    def hand(self, pose: np.ndarray | None = None, betas: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and 21 joints in the hand's frame."""
        vectors = torch.zeros(45) if pose is None else torch.as_tensor(pose.reshape(45)).float()
        shape = torch.zeros(10) if betas is None else torch.as_tensor(betas).float()
        output = self.model.forward_axis_angle(torch.zeros(3), vectors, shape)
        return output.vertices.numpy(), output.joints.numpy()

    def draw(
        self,
        vertices: np.ndarray,
        joints: np.ndarray | None = None,
        *,
        view: np.ndarray = PALM,
        turn: tuple[float, float] = (0.0, 0.0),
        size: tuple[int, int] = (220, 220),
        span: float = 0.24,
        middle: tuple[float, float, float] = (0.018, 0.0, 0.012),
    ) -> np.ndarray:
        """A picture (H, W, 3) of a width of `span` metres; `turn`: degrees about the picture's x and y."""
        width, height = size
        focal = width * DISTANCE / span
        camera = Camera(focal, focal, width / 2, height / 2)
        matrix = _turn(*turn) @ view
        place = np.array([0, 0, DISTANCE])
        moved = (vertices - np.array(middle)) @ matrix.T + place
        drawn = render([Mesh(moved, self.arrays.closed_faces, SKIN)], camera, width, height)
        alpha = drawn.alpha[..., None]
        image = (255 * (drawn.color * alpha + 1 - alpha)).round().astype(np.uint8)
        if joints is None:
            return image
        seen = (joints - np.array(middle)) @ matrix.T + place
        points = seen[:, :2] / seen[:, 2:] * focal + np.array([width / 2, height / 2])
        mixed = (0.45 * image + 0.55 * 255).astype(np.uint8)
        return draw_keypoints(mixed, points)


def _turn(about_x: float, about_y: float) -> np.ndarray:
    return cv2.Rodrigues(np.radians([about_x, 0.0, 0.0]))[0] @ cv2.Rodrigues(np.radians([0.0, about_y, 0.0]))[0]


def label(image: np.ndarray, text: str) -> np.ndarray:
    """The picture with a line of text at its lower edge."""
    image = image.copy()
    cv2.putText(image, text, (6, image.shape[0] - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 60), 1, cv2.LINE_AA)
    return image


def save(name: str, rows: list[list[np.ndarray]]) -> None:
    """Rows of equally high pictures as docs/images/open_hand_<name>.png."""
    lines = [np.concatenate(row, 1) for row in rows]
    width = max(line.shape[1] for line in lines)
    lines = [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines]
    IMAGES.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(
        str(IMAGES / f"open_hand_{name}.png"), np.concatenate(lines, 0)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )


def betas_sheet(studio: Studio) -> None:
    """Every beta at -3, 0, +3: one column a beta."""
    rows: list[list[np.ndarray]] = []
    for value in (-3.0, 0.0, 3.0):
        row = []
        for k in range(10):
            betas = np.zeros(10)
            betas[k] = value
            image = studio.draw(studio.hand(betas=betas)[0], size=(150, 190), span=0.225, middle=(0.025, 0.0, 0.012))
            row.append(label(image, f"beta {k}: {value:+.0f}"))
        rows.append(row)
    save("betas", rows)


def joints_sheet(studio: Studio) -> None:
    """The 21 joints inside the mesh, from four sides."""
    vertices, joints = studio.hand()
    views = [
        (PALM, (0.0, 0.0), "palm"),
        (BACK, (0.0, 0.0), "back"),
        (THUMB_SIDE, (0.0, 0.0), "thumb's side"),
        (PALM, (30.0, 35.0), "turned"),
    ]
    row = [label(studio.draw(vertices, joints, view=v, turn=t, size=(300, 300)), text) for v, t, text in views]
    bent, bent_joints = studio.hand(studio.pose(POSES["fist"]))
    fist = [studio.draw(bent, bent_joints, view=v, turn=t, size=(300, 300)) for v, t, _ in views]
    save("joints", [row, fist])


def motions_sheet(studio: Studio) -> None:
    """Each finger: every joint bent by itself, then abduction to both sides; one row a finger."""
    rows = []
    for finger in ("thumb", "index", "middle", "ring", "little"):
        most = (45, 55, 70) if finger == "thumb" else (90, 100, 70)
        side = 30 if finger == "thumb" else 18
        row = []
        for k in range(3):
            degrees = [0.0] * 5
            degrees[k] = most[k]
            row.append((f"{finger}{k + 1} flexed {most[k]}", tuple(degrees)))
        row += [(f"{finger}1 abducted {a:+d}", (0.0, 0.0, 0.0, float(a))) for a in (side, -side)]
        pictures = []
        for text, values in row:
            vertices, _ = studio.hand(studio.pose({finger: values}))
            pictures.append(label(studio.draw(vertices, turn=(25.0, 40.0)), text))
        vertices, _ = studio.hand(studio.pose({finger: most}))
        pictures.append(label(studio.draw(vertices, view=THUMB_SIDE, turn=(-20.0, 25.0)), f"{finger}: all three"))
        rows.append(pictures)
    save("motions", rows)


def poses_sheet(studio: Studio) -> None:
    """Whole-hand poses from the palm, the back and the side, and the relaxed mean."""
    poses = {name: studio.pose(fingers) for name, fingers in POSES.items()}
    poses["mean (hands_mean)"] = relaxed_pose(studio.axes)
    rows: list[list[np.ndarray]] = [[], [], []]
    for name, pose in poses.items():
        vertices, _ = studio.hand(pose)
        rows[0].append(label(studio.draw(vertices, turn=(25.0, 30.0), span=0.22), name))
        rows[1].append(studio.draw(vertices, view=BACK, turn=(20.0, -20.0), span=0.22))
        rows[2].append(studio.draw(vertices, view=THUMB_SIDE, turn=(-15.0, 25.0), span=0.22))
    save("poses", rows)


def components_sheet(studio: Studio) -> None:
    """The first six pose components at -2 and +2 (radians along the component) around the mean."""
    mean, components = studio.arrays.hands_mean.astype(float), studio.arrays.hands_components.astype(float)
    rows: list[list[np.ndarray]] = []
    for amount in (-1.2, 1.2):
        hands = [studio.hand(mean + amount * component)[0] for component in components[:6]]
        drawn = [studio.draw(vertices, turn=(25.0, 30.0), size=(180, 190)) for vertices in hands]
        rows.append([label(image, f"{i}: {amount:+.1f}") for i, image in enumerate(drawn)])
    save("components", rows)


def main() -> None:
    studio = Studio()
    for sheet in (betas_sheet, joints_sheet, motions_sheet, poses_sheet, components_sheet):
        sheet(studio)


if __name__ == "__main__":
    main()
