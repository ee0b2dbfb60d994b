"""A script's view: the original's import paths for drawing, and the original's results."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from hamer.utils import MeshRenderer, SkeletonRenderer
from hamer.utils.render_openpose import (
    get_keypoints_rectangle,
    render_body_keypoints,
    render_hand_keypoints,
    render_keypoints,
    render_openpose,
)
from hamer.utils.renderer import Renderer, cam_crop_to_full

LIGHT_BLUE = (0.65098039, 0.74117647, 0.85882353)
CFG = SimpleNamespace(
    EXTRA=SimpleNamespace(FOCAL_LENGTH=5000),
    MODEL=SimpleNamespace(IMAGE_SIZE=256, IMAGE_MEAN=[0.485, 0.456, 0.406], IMAGE_STD=[0.229, 0.224, 0.225]),
)


@pytest.fixture(scope="module")
def data(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "hamer" / "render.npz"))


@pytest.fixture(scope="module")
def renderer(data: dict[str, np.ndarray]) -> Renderer:
    return Renderer(CFG, faces=data["faces"])


def iou(rgba: np.ndarray, golden: Path, name: str) -> float:
    theirs = cv2.imread(str(golden / "hamer" / f"{name}.png"), cv2.IMREAD_UNCHANGED)[:, :, 3] > 127
    ours = 255 * rgba[:, :, 3] > 127
    return (ours & theirs).sum() / (ours | theirs).sum()


def normalised(picture: np.ndarray) -> torch.Tensor:
    """(H, W, 3) in 0..1 as the network gets it."""
    scaled = (picture - CFG.MODEL.IMAGE_MEAN) / CFG.MODEL.IMAGE_STD
    return torch.from_numpy(scaled.transpose(2, 0, 1).astype(np.float32))


def test_faces(renderer, data) -> None:
    np.testing.assert_array_equal(renderer.faces, data["render_faces"])
    np.testing.assert_array_equal(renderer.faces_left, data["render_faces_left"])
    larger = np.array([[0, 1, 1600]])  # the open hand is no MANO: its wrist has other vertices
    assert len(Renderer(CFG, faces=larger).faces) == 1


@pytest.mark.parametrize(("name", "count"), [("render_one", 1), ("render_two", 2)])
def test_render_rgba_multiple(renderer, data, golden, name, count) -> None:
    hands = [data["vertices"], data["vertices_left"]][:count]
    cameras = [camera.copy() for camera in data["camera"][:count]]
    rgba = renderer.render_rgba_multiple(
        hands, cam_t=cameras, render_res=[640, 480], is_right=[1, 0][:count],
        mesh_base_color=LIGHT_BLUE, scene_bg_color=(1, 1, 1), focal_length=float(data["focal_length"]),
    )  # fmt: skip
    assert rgba.shape == (480, 640, 4)
    assert rgba.dtype == np.float32
    assert iou(rgba, golden, name) >= 0.98  # edges are sampled at other points, see tests/rendering
    assert (rgba[0, 0] == (1, 1, 1, 0)).all()
    np.testing.assert_array_equal(cameras, data["camera"][:count])


@pytest.mark.parametrize(("name", "side_view"), [("render_crop", False), ("render_crop_side", True)])
def test_call(renderer, data, golden, name, side_view) -> None:
    camera = data["crop_camera"].copy()
    image = normalised(np.full((256, 256, 3), 0.25))
    rgba = renderer(data["crop_vertices"], camera, image, side_view=side_view, return_rgba=True)
    assert rgba.shape == (256, 256, 4)
    assert rgba.dtype == np.float32
    assert iou(rgba, golden, name) >= 0.98
    np.testing.assert_array_equal(camera, data["crop_camera"])  # the original negates x in place

    rgb = renderer(data["crop_vertices"], camera, image, side_view=side_view, scene_bg_color=(1, 1, 1))
    assert rgb.shape == (256, 256, 3)
    assert rgb.dtype == np.float32
    background = 1.0 if side_view else 0.25
    np.testing.assert_allclose(rgb[0, 0], background, atol=1e-6)  # normalised and back in float32


def test_call_on_a_whole_picture(renderer, data, tmp_path) -> None:
    file = tmp_path / "photo.png"
    cv2.imwrite(str(file), np.full((240, 320, 3), (0, 0, 255), np.uint8))
    drawn = renderer(data["crop_vertices"], data["crop_camera"], None, full_frame=True, imgname=str(file))
    assert drawn.shape == (240, 320, 3)
    np.testing.assert_allclose(drawn[0, 0], (1, 0, 0))
    with pytest.raises(ValueError, match="imgname"):
        renderer(data["crop_vertices"], data["crop_camera"], None, full_frame=True, imgname=str(tmp_path / "none.png"))


@pytest.mark.parametrize(("side", "is_right"), [("right", 1), ("left", 0)])
def test_vertices_to_trimesh(renderer, data, side, is_right) -> None:
    vertices = data["vertices"] if is_right else data["vertices_left"]
    mesh = renderer.vertices_to_trimesh(vertices, data["camera"][1 - is_right], LIGHT_BLUE, is_right=is_right)
    # The same float32 sum, turned by a matrix whose sine of 180 degrees is 1e-16.
    np.testing.assert_allclose(mesh.vertices, data[f"export_{side}_vertices"], atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, data[f"export_{side}_faces"])
    np.testing.assert_array_equal(mesh.visual.vertex_colors[0], [166, 189, 219, 255])


def test_render_rgba(renderer, data) -> None:
    front = renderer.render_rgba(data["crop_vertices"], cam_t=data["crop_camera"], mesh_base_color=LIGHT_BLUE)
    assert front.shape == (256, 256, 4)
    called = renderer(
        data["crop_vertices"],
        data["crop_camera"],
        torch.zeros(3, 256, 256),
        mesh_base_color=LIGHT_BLUE,
        return_rgba=True,
    )
    np.testing.assert_allclose(front, called, atol=1e-6)
    turned = renderer.render_rgba(
        data["crop_vertices"], cam_t=data["crop_camera"], rot_axis=[0, 1, 0], rot_angle=90, render_res=[256, 256]
    )
    side = renderer(
        data["crop_vertices"], data["crop_camera"], torch.zeros(3, 256, 256), side_view=True, return_rgba=True
    )
    np.testing.assert_array_equal(turned[..., 3], side[..., 3])
    assert renderer.render_rgba(data["crop_vertices"], render_res=[100, 60], is_right=0)[..., 3].any()


def test_the_demos_full_frame_recipe(renderer, data) -> None:
    picture = np.full((480, 640, 3), 0.5, np.float32)
    view = renderer.render_rgba_multiple(
        [data["vertices"]], cam_t=[data["camera"][0]], render_res=np.array([640.0, 480.0]), is_right=[1],
        focal_length=torch.tensor(12500.0), mesh_base_color=LIGHT_BLUE, scene_bg_color=(1, 1, 1),
    )  # fmt: skip
    with_alpha = np.concatenate([picture, np.ones_like(picture[:, :, :1])], axis=2)
    overlay = with_alpha[:, :, :3] * (1 - view[:, :, 3:]) + view[:, :, :3] * view[:, :, 3:]
    assert 0 <= overlay.min() <= overlay.max() <= 1
    np.testing.assert_allclose(overlay[0, 0], 0.5)


def test_cam_crop_to_full() -> None:
    cam = torch.tensor([[0.9, 0.1, -0.2]])
    full = cam_crop_to_full(
        cam, torch.tensor([[300.0, 200.0]]), torch.tensor([150.0]), torch.tensor([[640.0, 480.0]]), 12500
    )
    expected = torch.tensor([[2 * (300 - 320) / 135 + 0.1, 2 * (200 - 240) / 135 - 0.2, 2 * 12500 / 135]])
    torch.testing.assert_close(full, expected)
    torch.testing.assert_close(cam, torch.tensor([[0.9, 0.1, -0.2]]))


def test_argument_names() -> None:
    names = {
        Renderer.__call__: "vertices camera_translation image full_frame imgname side_view rot_angle mesh_base_color "
        "scene_bg_color return_rgba",
        Renderer.render_rgba: "vertices cam_t rot rot_axis rot_angle camera_z mesh_base_color scene_bg_color render_res "
        "focal_length is_right",
        Renderer.render_rgba_multiple: "vertices cam_t rot_axis rot_angle mesh_base_color scene_bg_color render_res "
        "focal_length is_right",
        Renderer.vertices_to_trimesh: "vertices camera_translation mesh_base_color rot_axis rot_angle is_right",
        Renderer.__init__: "cfg faces",
    }
    for function, expected in names.items():
        assert list(inspect.signature(function).parameters)[1:] == expected.split()


def test_render_openpose() -> None:
    points = np.stack([np.linspace(20, 180, 21), 100 + 60 * np.sin(np.arange(21)), np.ones(21)], axis=1)
    for dtype in (np.uint8, np.float32, np.float64):
        image = np.zeros((200, 200, 3), dtype)
        drawn = render_openpose(image, points)
        assert drawn.dtype == dtype
        assert drawn.max() > 100
        assert not image.any()
    points[3, 2] = 0
    image = np.zeros((200, 200, 3), np.uint8)
    assert not render_hand_keypoints(image, points, threshold=1.5).any()
    faint = render_hand_keypoints(image, points, use_confidence=True, map_fn=lambda c: c / 2, alpha=0.5)
    assert 0 < faint.max() <= 128
    assert render_keypoints(image, points, [(0, 1)], [(255, 0, 0)], 0.02, 0.75, [1])[..., 1].max() == 0
    body = np.stack([np.linspace(20, 180, 25), np.linspace(180, 20, 25), np.ones(25)], axis=1)
    assert render_body_keypoints(image, body).any()
    assert get_keypoints_rectangle(points, 0.1) == pytest.approx(
        (160.0, np.ptp(points[:, 1]), 160 * np.ptp(points[:, 1]))
    )
    assert get_keypoints_rectangle(points, 2.0) == (0, 0, 0)


def test_mesh_renderer(data) -> None:
    previews = MeshRenderer(CFG, faces=data["faces"])
    images = np.full((2, 3, 256, 256), 0.3, np.float32)
    vertices, cameras = np.stack([data["crop_vertices"]] * 2), np.stack([data["crop_camera"]] * 2)
    one = previews(vertices[0], cameras[0], images[0].transpose(1, 2, 0), text="a", resize=(128, 64))
    assert one.shape == (64, 128, 3)
    grid = previews.visualize(vertices, cameras, images)
    assert tuple(grid.shape) == (3, 2 * 258 + 2, 3 * 258 + 2)
    keypoints = np.random.default_rng(0).uniform(-0.4, 0.4, (2, 21, 3)).astype(np.float32)
    keypoints[..., 2] = 1
    before = keypoints.copy()
    grid = previews.visualize_tensorboard(vertices, cameras, images, keypoints[..., :2], keypoints)
    assert tuple(grid.shape) == (3, 2 * 258 + 2, 5 * 258 + 2)
    assert 0 <= grid.min() <= grid.max() <= 1
    np.testing.assert_array_equal(keypoints, before)


def test_skeleton_renderer() -> None:
    joints = torch.from_numpy(np.random.default_rng(0).normal(0, 0.05, (2, 21, 3)).astype(np.float32))
    true = torch.cat([joints + 0.3, torch.ones(2, 21, 1)], dim=-1)
    flat = torch.cat([joints[..., :2], torch.ones(2, 21, 1)], dim=-1)
    before = true.clone()
    grid = SkeletonRenderer(CFG)(joints, true, flat)
    assert tuple(grid.shape) == (3, 2 * 258 + 2, 6 * 258 + 2)
    torch.testing.assert_close(true, before)
    row = grid[:, 2:258]
    # The true joints differ by a shift only, which is taken out: both projections are the same picture.
    predicted, truth = row[:, :, 2 * 258 + 2 : 3 * 258], row[:, :, 3 * 258 + 2 : 4 * 258]
    assert (predicted - truth).abs().mean() < 0.02  # a joint may round to the next pixel
    assert predicted.max() > 0.4
