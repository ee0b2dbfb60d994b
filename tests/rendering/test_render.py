"""What a rendered picture must be, whatever draws it: geometry that can be worked out by hand."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hamer.rendering import Mesh, Rendered, overlay, render, side_view, tiles
from hamer.structures import Camera

BACKENDS = [
    pytest.param("numba", marks=pytest.mark.skipif(tiles.numba is None, reason="numba is not installed")),
    "numpy",
]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


def test_square_covers_exactly_its_pixels(square, camera, backend) -> None:
    drawn = render([square(1.0)], camera, 128, 128, backend=backend)
    expected = np.zeros((128, 128), np.float32)
    expected[32:96, 32:96] = 1
    np.testing.assert_array_equal(drawn.alpha, expected)
    np.testing.assert_array_equal(drawn.hand_id, np.where(expected > 0, 0, -1))
    np.testing.assert_allclose(drawn.depth, expected, atol=1e-6)  # it lies at one metre; float32


def test_edges_have_partial_coverage(square, backend) -> None:
    # Moved by half a pixel: the outermost columns are half covered, which 2x2 samples show exactly.
    camera = Camera(128, 128, 64.5, 64)
    drawn = render([square(1.0)], camera, 128, 128, backend=backend)
    assert drawn.alpha[64, 32] == pytest.approx(0.5)
    assert drawn.alpha[64, 96] == pytest.approx(0.5)
    assert drawn.alpha.sum() == pytest.approx(64 * 64)


def test_shared_edges_leave_no_gap_and_nothing_twice(ball, backend) -> None:
    drawn = render([ball((0.013, -0.02, 1.0))], Camera(700, 650, 100.3, 99.1), 200, 200, backend=backend)
    rows, columns = np.nonzero(drawn.alpha > 0)
    for row in np.unique(rows)[2:-2]:
        inner = drawn.alpha[row, columns[rows == row].min() + 2 : columns[rows == row].max() - 1]
        assert (inner == 1).all(), f"a gap inside the ball in row {row}"


def test_perspective_correct_depth(backend) -> None:
    # A plane from 1 to 3 metres: depth along the middle row follows the plane, not the screen.
    plane = Mesh(np.array([[-0.5, -1, 1], [1.5, -1, 3], [1.5, 1, 3], [-0.5, 1, 1.0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    drawn = render([plane], Camera(128, 128, 64, 64), 128, 128, supersample=1, backend=backend)
    columns = np.arange(20, 110)
    slope = (columns + 0.5 - 64) / 128
    # x = -0.5 + (z - 1) and x = slope * z  =>  z = 1.5 / (1 - slope)
    seen = drawn.depth[64, columns]
    expected = 1.5 / (1 - slope)
    np.testing.assert_allclose(seen[seen > 0], expected[seen > 0], rtol=1e-5)  # float32 depth
    assert (seen > 0).sum() > 60


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nearer_mesh_hides_the_other_in_any_order(square, camera, backend, order) -> None:
    near, far = square(0.8, half=0.1, color=(1, 0, 0)), square(1.0, half=0.4, color=(0, 1, 0))
    meshes = [(near, far)[i] for i in order]
    drawn = render(meshes, camera, 128, 128, backend=backend)
    assert drawn.hand_id[64, 64] == order.index(0)
    assert drawn.hand_id[20, 64] == order.index(1)
    assert drawn.color[64, 64, 0] > drawn.color[64, 64, 1]
    assert drawn.color[20, 64, 0] < drawn.color[20, 64, 1]
    assert drawn.depth[64, 64] == pytest.approx(0.8)


def test_meshes_that_cross_are_cut_where_they_cross(backend) -> None:
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    left = Mesh(np.array([[-1, -1, 0.9], [1, -1, 1.1], [1, 1, 1.1], [-1, 1, 0.9]]), faces)
    right = Mesh(np.array([[-1, -1, 1.1], [1, -1, 0.9], [1, 1, 0.9], [-1, 1, 1.1]]), faces)
    drawn = render([left, right], Camera(60, 60, 64, 64), 128, 128, backend=backend)
    assert (drawn.hand_id[40:90, 20:60] == 0).all()
    assert (drawn.hand_id[40:90, 70:110] == 1).all()


def test_winding_does_not_matter(ball, camera, backend) -> None:
    # A left hand's faces may come reversed or not; the picture is the same.
    outwards = ball((0.1, 0, 1))
    inwards = Mesh(outwards.vertices, outwards.faces[:, ::-1])
    inwards.color = outwards.color
    first, second = (render([mesh], camera, 128, 128, backend=backend) for mesh in (outwards, inwards))
    np.testing.assert_array_equal(first.alpha, second.alpha)
    np.testing.assert_allclose(first.color, second.color, atol=1e-5)  # sums in another order


def test_mirrored_mesh_gives_mirrored_silhouette(ball, backend) -> None:
    right = ball((0.12, 0.05, 1))
    left = Mesh(right.vertices * (-1, 1, 1), right.faces)
    camera = Camera(128, 128, 64, 64)
    drawn = [render([mesh], camera, 128, 128, backend=backend).alpha for mesh in (right, left)]
    # Samples that an edge goes through exactly belong to one side of it only.
    assert np.abs(drawn[0] - drawn[1][:, ::-1]).mean() < 1e-3


def test_no_dark_specks_on_silhouettes(ball, backend) -> None:
    drawn = render([ball((0, 0, 1), 0.3)], Camera(300, 300, 128, 128), 256, 256, backend=backend)
    brightness = drawn.color.mean(axis=2)
    neighbours = np.stack([np.roll(brightness, shift, axis) for axis in (0, 1) for shift in (1, -1)])
    covered = np.stack([np.roll(drawn.alpha, shift, axis) for axis in (0, 1) for shift in (1, -1)]) > 0
    # White under our lights never falls below the ambient light at the contour, (0.45 - 0.11) * 0.60.
    assert brightness[drawn.alpha > 0].min() >= 0.20
    mean = (neighbours * covered).sum(0) / np.maximum(covered.sum(0), 1)
    edge = (drawn.alpha > 0) & (drawn.alpha < 1)
    assert (brightness[edge] > 0.6 * mean[edge]).all()


def test_open_meshes_show_their_inside(ball, backend) -> None:
    whole = ball((0, 0, 1))
    middle = whole.vertices[whole.faces].mean(axis=1)
    bowl = Mesh(whole.vertices, whole.faces[middle[:, 2] > 1])
    drawn = render([bowl], Camera(128, 128, 64, 64), 128, 128, backend=backend)
    assert drawn.alpha[64, 64] == 1
    assert drawn.color[64, 64].mean() > 0.4


def test_triangles_through_the_camera_plane_are_clipped(backend) -> None:
    floor = Mesh(np.array([[-1, 0.5, -2], [1, 0.5, -2], [1, 0.5, 4], [-1, 0.5, 4.0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    drawn = render([floor], Camera(64, 64, 64, 64), 128, 128, backend=backend)
    # Nothing above the far edge (y = 0.5 / 4 * 64 below the middle), all of the lowest row's middle.
    assert (drawn.alpha[:71] == 0).all()
    assert (drawn.alpha[127, 20:108] == 1).all()
    np.testing.assert_allclose(drawn.depth[100, 64], 0.5 * 64 / 36.75, rtol=1e-5)  # the nearer row of samples


def test_mesh_around_the_camera(ball, backend) -> None:
    drawn = render([ball((0, 0, 0), 1.0)], Camera(64, 64, 64, 64), 128, 128, backend=backend)
    assert (drawn.alpha == 1).all()


@pytest.mark.parametrize("centre", [(0, 0, -1), (30, 0, 1), (0, -30, 1), (-30, 0, 1), (0, 30, 1)])
def test_what_is_not_seen_leaves_the_picture_alone(ball, camera, backend, centre) -> None:
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    np.testing.assert_array_equal(overlay(image, [ball(centre)], camera, backend=backend), image)
    assert (render([ball(centre)], camera, 128, 128, backend=backend).hand_id == -1).all()


def test_no_meshes(camera, backend) -> None:
    drawn = render([], camera, 30, 20, backend=backend)
    assert drawn.color.shape == (20, 30, 3)
    assert not drawn.alpha.any()
    assert (drawn.hand_id == -1).all()
    assert render([Mesh(np.zeros((0, 3)), np.zeros((0, 3), int))], camera, 9, 9, backend=backend).alpha.sum() == 0


def test_one_pixel(square, backend) -> None:
    drawn = render([square(1.0)], Camera(1, 1, 0.5, 0.5), 1, 1, backend=backend)
    assert drawn.alpha.shape == (1, 1)
    assert render([square(1.0, half=2)], Camera(1, 1, 0.5, 0.5), 1, 1, backend=backend).alpha[0, 0] == 1


def test_small_hand_in_a_large_picture(ball, backend) -> None:
    camera = Camera(8000, 8000, 3840, 2160)
    image = np.zeros((4320, 7680, 3), np.uint8)
    drawn = overlay(image, [ball((0.2, 0.1, 10.0), 0.1)], camera, backend=backend)
    rows, columns = np.nonzero(drawn.any(axis=2))
    assert 150 < np.ptp(rows) < 170
    assert abs(columns.mean() - (3840 + 160)) < 1


@pytest.mark.parametrize("supersample", [1, 2, 3, 4])
def test_alpha_counts_samples(ball, camera, backend, supersample) -> None:
    drawn = render([ball((0.01, 0.02, 1))], camera, 128, 128, supersample=supersample, backend=backend)
    counts = drawn.alpha * supersample**2
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-5)
    assert drawn.alpha.min() == 0
    assert drawn.alpha.max() == 1
    assert drawn.color.min() >= 0
    assert drawn.color.max() <= 1
    # The ball's outline, whatever the sampling: radius 0.2 seen from a metre.
    assert drawn.alpha.sum() == pytest.approx(np.pi * (128 * 0.2 / np.sqrt(1 - 0.04)) ** 2, rel=0.02)


def test_distortion_moves_vertices(square) -> None:
    camera = Camera(128, 128, 64, 64, distortion=(-0.3, 0.1, 0, 0))
    plate = square(1.0, half=0.05, x=0.3)
    squared = (plate.vertices[:, :2] ** 2).sum(axis=1, keepdims=True)
    corners = 64 + 128 * plate.vertices[:, :2] * (1 - 0.3 * squared + 0.1 * squared**2)
    rows, columns = np.nonzero(render([plate], camera, 128, 128).alpha)
    assert np.floor(corners[:, 0].min()) <= columns.min() <= columns.max() <= np.floor(corners[:, 0].max())
    assert np.ptp(corners[:, 0]) - 1 <= np.ptp(columns)
    assert np.floor(corners[:, 1].min()) <= rows.min() <= rows.max() <= np.floor(corners[:, 1].max())


def test_distortion_does_not_fold_far_points_back(ball) -> None:
    # With k1 = -0.5 points beyond radius 0.82 would come back towards the middle.
    camera = Camera(60, 60, 64, 64, distortion=(-0.5, 0, 0, 0))
    drawn = render([ball((1.35, 0, 1))], camera, 128, 128)
    assert not drawn.alpha.any()


@pytest.mark.skipif(tiles.numba is None, reason="numba is not installed")
@pytest.mark.parametrize("supersample", [1, 2, 3])
def test_numba_equals_numpy(ball, supersample) -> None:
    meshes = [
        ball((0.05, 0.02, 1.0), 0.2, (0.65, 0.74, 0.86)),
        ball((-0.1, 0, 1.1), 0.25, (0.9, 0.2, 0.1)),
        ball((0.3, 0.3, 0.1), 0.2),  # cut by the camera's plane
    ]
    camera = Camera(333.3, 300, 150.2, 99.9, distortion=(-0.1, 0.02, 0.001, -0.002, 0.01))
    fast, plain = (
        render(meshes, camera, 300, 200, supersample=supersample, backend=backend) for backend in ("numba", "numpy")
    )
    np.testing.assert_array_equal(fast.alpha, plain.alpha)
    np.testing.assert_array_equal(fast.hand_id, plain.hand_id)
    np.testing.assert_allclose(fast.depth, plain.depth, rtol=1e-6)
    # Sums run in another order; a grey level is 1/255.
    np.testing.assert_allclose(fast.color, plain.color, atol=1 / 255)


def test_threads_draw_the_same(ball, camera) -> None:
    meshes = [ball((0.3 * x, 0.2 * y, 1.0), 0.15) for x in (-1, 0, 1) for y in (-1, 1)]
    one = render(meshes, Camera(600, 600, 300, 300), 600, 600, threads=1)
    many = render(meshes, Camera(600, 600, 300, 300), 600, 600, threads=5)
    for name in ("color", "alpha", "depth", "hand_id"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))


def test_callers_on_many_threads(ball, camera) -> None:
    scenes = [[ball((0.02 * n, 0, 1.0))] for n in range(6)]
    expected = [render(scene, camera, 128, 128, threads=1) for scene in scenes]
    start = threading.Barrier(6)

    def draw(number: int) -> list[Rendered]:
        start.wait()
        return [render(scenes[number], camera, 128, 128, threads=2) for _ in range(10)]

    with ThreadPoolExecutor(6) as pool:
        for number, results in enumerate(pool.map(draw, range(6))):
            for result in results:
                np.testing.assert_array_equal(result.color, expected[number].color)


def test_overlay_is_the_rendered_picture_over_the_image(ball, camera, backend) -> None:
    image = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    before = image.copy()
    meshes = [ball((0.1, 0.1, 1), 0.2, (0.2, 0.4, 0.9))]
    result = overlay(image, meshes, camera, backend=backend)
    drawn = render(meshes, camera, 128, 128, backend=backend)
    share = drawn.alpha[..., None]
    np.testing.assert_array_equal(image, before)
    assert result.dtype == np.uint8
    # Overlay draws in the frame of its own rectangle: one grey level of rounding.
    np.testing.assert_allclose(result, image * (1 - share) + 255 * drawn.color * share, atol=1)
    half = overlay(image, meshes, camera, opacity=0.5, backend=backend)
    np.testing.assert_allclose(half, (result.astype(float) + image) / 2, atol=1)


def test_overlay_takes_views_of_arrays(ball, camera) -> None:
    image = np.zeros((256, 300, 3), np.uint8)[::2, :128, ::-1]
    assert overlay(image, [ball((0, 0, 1))], camera).max() > 0
    assert image.max() == 0


def test_side_view_turns_by_a_quarter(square) -> None:
    # A plate seen from the front is a line from the side; a point nearer to the camera lies to the left.
    camera = Camera(128, 128, 64, 64)
    plate = square(1.0)
    assert render([plate], camera, 128, 128).alpha.sum() > 4000
    assert side_view(plate, camera, 128, 128).alpha.sum() < 200
    near, far = square(0.9, half=0.02, color=(1, 0, 0)), square(1.1, half=0.02, color=(0, 1, 0))
    boxes = [
        Mesh(m.vertices[:, [0, 1, 2]] + [[0, 0, dz] for dz in (0, 0, 0.04, 0.04)], m.faces, m.color)
        for m in (near, far)
    ]
    drawn = side_view(boxes, camera, 128, 128)
    columns = [np.nonzero(drawn.hand_id == hand)[1].mean() for hand in (0, 1)]
    assert columns[0] < 64 < columns[1]
    assert not side_view([], camera, 10, 10).alpha.any()
