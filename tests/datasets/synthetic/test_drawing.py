"""Drawn pictures against geometry that can be written down: planes, a sphere, projected triangles, light and shade."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hamer import compiling
from hamer.datasets.synthetic.drawing.lights import Lights
from hamer.datasets.synthetic.drawing.numba_drawing import Drawn, draw, texture_table
from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.drawing.torch_drawing import draw_batch

CAMERA = np.array([[120.0, 0.0, 50.0], [0.0, 110.0, 40.0], [0.0, 0.0, 1.0]])
WIDTH, HEIGHT = 96, 80


def one_light(direction=(0.0, 0.0, -1.0), color=1.0, ambient=0.0, casts=True, softness=0.0) -> Lights:
    return Lights(
        sky=np.full(3, ambient), ground=np.full(3, ambient), up=np.array([0.0, -1.0, 0.0]),
        directions=np.array([direction]), colors=np.full((1, 3), color), casts=np.array([casts]),
        softness=np.array([softness]),
    )  # fmt: skip


def surface(vertices, faces, uv=None, albedo=None, **options) -> Surface:
    vertices = np.asarray(vertices, np.float32)
    faces = np.asarray(faces, np.int32)
    settings = {"relief": None, "gloss": 0.0, "labels": np.zeros(len(faces)), "scattering": 0.0, **options}
    return Surface(
        vertices=vertices,
        faces=faces,
        uv=np.zeros((len(vertices), 2)) if uv is None else np.asarray(uv, np.float32),
        uv_faces=faces,
        albedo=np.full((4, 4, 3), 255, np.uint8) if albedo is None else albedo,
        **settings,
    )


def rectangle(z: float, half: float = 1.0, center=(0.0, 0.0), **options) -> Surface:
    x, y = center
    corners = [(x - half, y - half, z), (x + half, y - half, z), (x + half, y + half, z), (x - half, y + half, z)]
    return surface(corners, [[0, 2, 1], [0, 3, 2]], uv=[(0, 0), (1, 0), (1, 1), (0, 1)], **options)


def sphere(center, radius: float, rows: int = 48, columns: int = 96, **options) -> Surface:
    polar = np.linspace(0, np.pi, rows + 1)[:, None]
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    points = np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around], axis=-1
    )
    row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    a, b = row * columns + column, row * columns + (column + 1) % columns
    c, d = a + columns, b + columns
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    return surface(points.reshape(-1, 3) * radius + np.asarray(center), faces, **options)


def rays() -> np.ndarray:
    """Directions (H, W, 3) with z = 1 through the pixels' centres."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.stack([(x - 50.0) / 120.0, (y - 40.0) / 110.0, np.ones_like(x)], axis=-1)


def test_depth_of_a_tilted_plane_is_exact() -> None:
    slope = np.array([0.4, -0.3])
    corners = np.array([(-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7)])
    points = np.concatenate([corners, (1.0 + corners @ slope)[:, None]], axis=1)
    drawn = draw([surface(points, [[0, 1, 2], [0, 2, 3]])], one_light(), CAMERA, WIDTH, HEIGHT)
    ray = rays()
    expected = 1.0 / (1.0 - ray[..., 0] * slope[0] - ray[..., 1] * slope[1])  # z = 1 + slope . xy along the ray
    inside = drawn.alpha == 1
    # Pixels on the diagonal take the centroid of one triangle's samples, up to a quarter of a pixel from the centre.
    error = np.abs(drawn.depth - expected)[inside]
    step = np.abs(np.gradient(expected)).sum(axis=0)[inside]
    assert inside.sum() > 3000
    assert (error <= 0.26 * step + 1e-5).all()
    assert np.median(error) < 1e-6  # float32


def test_depth_and_coverage_of_a_sphere() -> None:
    center, radius = np.array([0.05, -0.02, 1.0]), 0.2
    drawn = draw([sphere(center, radius)], one_light(), CAMERA, WIDTH, HEIGHT)
    ray = rays()
    along, square = ray @ center, (ray**2).sum(axis=-1)
    discriminant = along**2 - square * (center @ center - radius**2)
    expected = (along - np.sqrt(np.maximum(discriminant, 0))) / square
    well_inside = discriminant > 0.2 * discriminant.max()
    # A pixel tells the depth at the centroid of one triangle's samples, up to a quarter of a pixel from its centre each
    # way; and the mesh of 96 x 48 quadrilaterals lies up to radius * (1 - cos(pi / 48)) = 0.4 mm under the sphere.
    step = np.abs(np.gradient(np.where(discriminant > 0, expected, np.nan))).sum(axis=0)
    assert (np.abs(drawn.depth - expected) <= 0.26 * step + 6e-4)[well_inside].all()
    assert drawn.alpha.sum() == pytest.approx((discriminant > 0).sum(), rel=0.02)  # a pixelated disc against samples


def test_labels_are_the_projected_triangles() -> None:
    """Every pixel whose centre lies well inside one projected triangle has its label; the nearer one wins."""
    rng = np.random.default_rng(0)
    count = 30
    points = rng.uniform((-0.4, -0.35, 0.0), (0.4, 0.35, 0.0), (count, 3, 3))
    points[..., 2] = rng.uniform(0.8, 1.2, (count, 1))  # each faces the camera, so which is nearer is known
    order = np.argsort(points[:, 0, 2])
    drawn = draw(
        [surface(points[k], [[0, 1, 2]], labels=[k % 19]) for k in range(count)], one_light(), CAMERA, WIDTH, HEIGHT
    )
    xy = points[..., :2] / points[..., 2:] * (120.0, 110.0) + (50.0, 40.0)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    centres = np.stack([x, y], axis=-1)
    expected = np.zeros((HEIGHT, WIDTH), int)
    settled, taken = np.ones((HEIGHT, WIDTH), bool), np.zeros((HEIGHT, WIDTH), bool)
    for k in order:
        a, b, c = xy[k]
        sign = np.sign(np.cross(np.append(b - a, 0), np.append(c - a, 0))[2])
        distances = []
        for start, end in ((a, b), (b, c), (c, a)):
            edge = (end - start) / np.linalg.norm(end - start)
            offset = centres - start
            distances.append(sign * (edge[0] * offset[..., 1] - edge[1] * offset[..., 0]))
        inside = np.min(distances, axis=0)
        expected[~taken & (inside > 0.75)] = k % 19
        settled &= taken | (np.abs(inside) > 0.75)  # half a pixel's diagonal, and a little
        taken |= inside > 0.75
    assert settled.mean() > 0.5
    assert len(np.unique(expected[settled])) > 8
    np.testing.assert_array_equal(drawn.label[settled], expected[settled])
    np.testing.assert_array_equal(drawn.alpha[settled] == 1, taken[settled])


def test_neighbouring_triangles_leave_no_cracks() -> None:
    drawn = draw([sphere((0.0, 0.0, 0.5), 0.15)], one_light(), CAMERA, WIDTH, HEIGHT)
    ray = rays()
    sine = np.linalg.norm(ray[..., :2], axis=-1) / np.linalg.norm(ray, axis=-1)
    inside = sine < 0.15 / 0.5 - 0.02  # two pixels within the outline
    assert inside.sum() > 2500
    assert (drawn.alpha[inside] == 1).all()


def test_uv_leads_back_to_the_pixel() -> None:
    """The surface point at a pixel's uv projects into that pixel."""
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    center = np.array([-0.05, 0.0, 0.8])
    flat = np.array([(-0.2, -0.2, 0.0), (0.2, -0.2, 0.0), (0.2, 0.2, 0.0), (-0.2, 0.2, 0.0)])
    quad = surface(flat @ turn.T + center, [[0, 1, 2], [0, 2, 3]], uv=[(0, 0), (1, 0), (1, 1), (0, 1)], labels=[5, 16])
    drawn = draw([quad, rectangle(1.5, labels=[17, 18])], one_light(), CAMERA, WIDTH, HEIGHT)
    hand = (drawn.label >= 1) & (drawn.label <= 16)
    assert hand.sum() > 300
    assert (~np.isnan(drawn.uv).any(axis=-1) == hand).all()
    uv = drawn.uv[hand]
    points = np.concatenate([(uv - 0.5) * 0.4, np.zeros((len(uv), 1))], axis=1) @ turn.T + center
    pixel = points[:, :2] / points[:, 2:] * (120.0, 110.0) + (50.0, 40.0)
    rows, columns = np.nonzero(hand)
    offset = pixel - np.stack([columns, rows], axis=1) - 0.5
    assert np.abs(offset).max() < 0.2501  # samples lie at quarters of the pixel
    assert np.median(np.abs(offset)) < 1e-3  # nearly all pixels show one triangle
    np.testing.assert_allclose(drawn.depth[hand], points[:, 2], atol=1e-5)


def test_textures_are_averaged_in_linear_light() -> None:
    """A fine checkerboard of black and white seen from afar is the grey of half the light, not of half the sRGB level."""
    board = np.where((np.indices((64, 64)).sum(axis=0) % 2)[..., None] > 0, 255, 0) * np.ones(3)
    far = rectangle(4.0, half=0.5, albedo=board.astype(np.uint8))
    drawn = draw([far], one_light(), CAMERA, WIDTH, HEIGHT)
    inside = drawn.alpha == 1
    assert inside.sum() > 100
    np.testing.assert_allclose(drawn.color[inside], 0.5, atol=0.01)  # a thousandth of highlight, and the levels' blend
    grey = draw([rectangle(1.0, albedo=np.full((4, 4, 3), 128, np.uint8))], one_light(), CAMERA, WIDTH, HEIGHT)
    np.testing.assert_allclose(grey.color, ((128 / 255 + 0.055) / 1.055) ** 2.4, rtol=2e-3)


def test_textures_lie_where_uv_says() -> None:
    """Texel (row, column) covers v and u in their eighths; the rectangle's left top corner has uv (0, 0)."""
    albedo = np.random.default_rng(2).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    drawn = draw([rectangle(1.0, half=0.32, albedo=albedo)], one_light(), CAMERA, WIDTH, HEIGHT)
    linear = np.where(albedo <= 10, albedo / 255 / 12.92, ((albedo / 255 + 0.055) / 1.055) ** 2.4)
    for row in range(8):
        for column in range(8):
            x = 50 + 120 * (-0.32 + 0.08 * (column + 0.5))
            y = 40 + 110 * (-0.32 + 0.08 * (row + 0.5))
            # Pixels are a tenth of a texel: the nearest centre is up to a twentieth away from the texel's in both
            # directions, where the neighbours of random colour, up to 1 away, have a share of as much.
            np.testing.assert_allclose(drawn.color[int(y), int(x)], linear[row, column], atol=0.1)


def test_color_is_premultiplied_at_edges() -> None:
    drawn = draw([sphere((0.0, 0.0, 1.0), 0.2)], one_light(ambient=1.0, color=0.0), CAMERA, WIDTH, HEIGHT)
    edge = (drawn.alpha > 0) & (drawn.alpha < 1)
    assert edge.sum() > 20
    # White under white ambient light of strength 1: coverage itself, less what the sphere hides from itself.
    np.testing.assert_allclose(drawn.color[edge], drawn.alpha[edge][:, None] * np.ones(3), rtol=0.02)


def test_lamberts_law_and_no_light_from_behind() -> None:
    for angle in (0.0, 0.6, 1.2):
        direction = (np.sin(angle), 0.0, -np.cos(angle))
        drawn = draw([rectangle(1.0)], one_light(direction), CAMERA, WIDTH, HEIGHT)
        np.testing.assert_allclose(drawn.color, np.cos(angle), rtol=1e-5)
    behind = draw([rectangle(1.0)], one_light((0.0, 0.3, 1.0)), CAMERA, WIDTH, HEIGHT)
    assert behind.color.max() == 0
    assert behind.alpha.min() == 1


def test_both_sides_are_lit_from_the_side_that_is_seen() -> None:
    front = rectangle(1.0)
    back = surface(front.vertices, front.faces[:, ::-1])
    lights = one_light((0.3, -0.5, -1.0), ambient=0.2)
    np.testing.assert_array_equal(
        draw([front], lights, CAMERA, WIDTH, HEIGHT).color, draw([back], lights, CAMERA, WIDTH, HEIGHT).color
    )


def test_triangles_of_both_windings_leave_numbers() -> None:
    """Their normals cancel; light that needs one is lost, but nothing else."""
    front = rectangle(1.0)
    double = surface(front.vertices, np.concatenate([front.faces, front.faces[:, ::-1]]))
    lights = one_light(ambient=0.2)
    for drawn in (
        draw([double], lights, CAMERA, WIDTH, HEIGHT),
        draw_batch([[double]], [lights], CAMERA[None], WIDTH, HEIGHT).picture(0),
    ):
        assert (drawn.alpha == 1).all()
        np.testing.assert_allclose(drawn.color, 0.2, rtol=1e-5)


@pytest.mark.parametrize("side", [-1, 1])
def test_shadows_fall_away_from_the_light(side: int) -> None:
    """A ball before a wall, light from its left or right at 45 degrees: the shadow lies shifted to the other side."""
    wall, ball = rectangle(1.0), sphere((0.0, 0.0, 0.8), 0.05)
    drawn = draw([wall, ball], one_light((side, 0.0, -1.0)), CAMERA, WIDTH, HEIGHT)
    # The ball's centre moves by 0.2 m in x and z to the wall at z = 1: pixel 50 - side * 0.2 * 120, row 40.
    shade, light = int(50 - side * 24), int(50 + side * 24)
    assert drawn.color[40, shade].max() < 0.01
    np.testing.assert_allclose(drawn.color[40, light], np.sqrt(0.5), rtol=1e-4)
    wall_alone = draw([wall], one_light((side, 0.0, -1.0)), CAMERA, WIDTH, HEIGHT)
    assert np.abs(wall_alone.color - wall_alone.color.mean()).max() < 1e-4  # a flat wall does not shade itself
    unshaded = draw([wall, ball], one_light((side, 0.0, -1.0), casts=False), CAMERA, WIDTH, HEIGHT)
    np.testing.assert_allclose(unshaded.color[40, shade], np.sqrt(0.5), rtol=1e-4)


def test_a_ball_does_not_shade_its_lit_side() -> None:
    """No acne: where light arrives, a map of shadows changes nothing."""
    lights = [one_light((0.6, -0.4, -0.8), casts=casts) for casts in (True, False)]
    with_map, without = (draw([sphere((0.0, 0.0, 0.5), 0.1)], light, CAMERA, WIDTH, HEIGHT) for light in lights)
    bright = without.color[..., 0] > 0.25  # up to 75 degrees from the light
    assert bright.sum() > 500
    np.testing.assert_allclose(with_map.color[bright], without.color[bright], rtol=1e-6)


def test_shade_begins_softly_and_red_in_skin() -> None:
    def ball(**options) -> np.ndarray:
        return draw(
            [sphere((0.0, 0.0, 0.5), 0.1, **options)], one_light((1.0, 0.0, 0.0), casts=False), CAMERA, WIDTH, HEIGHT
        ).color

    matt, skin = ball(), ball(scattering=1.0)
    row = slice(36, 44)
    assert matt[row, 47:49].max() == 0  # left of the middle no light arrives ...
    beyond = skin[row, 47:49]
    assert (beyond[..., 0] > beyond[..., 1]).all()
    assert (beyond[..., 1] > beyond[..., 2]).all()
    assert ball(labels=np.full(2 * 48 * 96, 3), scattering=None)[40, 48, 0] > 0  # a hand is skin unless told otherwise


def test_gloss_adds_a_highlight_towards_the_mirrored_light() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    lights = one_light((0.5, 0.0, -1.0), casts=False)
    matt, satin, varnished = (
        draw([sphere((0.0, 0.0, 0.5), 0.1, albedo=black, gloss=gloss)], lights, CAMERA, WIDTH, HEIGHT).color[..., 0]
        for gloss in (0.0, 0.3, 0.9)
    )
    assert matt.max() == 0
    assert varnished.max() > 5 * satin.max() > 0
    half = np.array([0.5, 0.0, -1.0]) / np.linalg.norm([0.5, 0.0, -1.0]) + (0.0, 0.0, -1.0)
    point = np.array([0.0, 0.0, 0.5]) + 0.1 * half / np.linalg.norm(half)
    y, x = np.unravel_index(varnished.argmax(), varnished.shape)
    # The view is not exactly along z at that point; two pixels are 8 mm, 5 degrees on the ball.
    assert abs(x + 0.5 - (50 + 120 * point[0] / point[2])) < 2
    assert abs(y + 0.5 - (40 + 110 * point[1] / point[2])) < 2


def test_relief_turns_towards_and_away_from_the_light() -> None:
    """A ramp that rises by half its run to the right is a plane tilted by atan(1/2), flat where the mesh is flat."""
    size, half = 64, 0.5
    columns = (np.arange(size) + 0.5) / size * 2 * half
    ramp = np.tile(0.5 * columns, (size, 1)).astype(np.float32)
    angle = np.arctan(0.5)
    white = np.full((size, size, 3), 255, np.uint8)
    bumpy = rectangle(1.0, half, albedo=white, relief=ramp)
    drawn = draw([bumpy], one_light((-1.0, 0.0, -1.0)), CAMERA, WIDTH, HEIGHT)
    tilted = np.array([-np.sin(angle), 0.0, -np.cos(angle)])  # the height points to the camera, out of the seen side
    expected = tilted @ np.array([-1.0, 0.0, -1.0]) / np.sqrt(2)
    np.testing.assert_allclose(drawn.color[30:50, 40:60], expected, rtol=1e-4)


def test_surfaces_near_others_are_darker() -> None:
    """In the corner of a wall and a floor a part of the sky is hidden; a hand's breadth away none is."""
    black = np.full((4, 4, 3), 20, np.uint8)  # so dark that no light comes back from the other wall
    corners = [(-1, 0.05, 0.1), (1, 0.05, 0.1), (1, 0.05, 0.3), (-1, 0.05, 0.3)]
    floor = surface(corners, [[0, 1, 2], [0, 2, 3]], albedo=black)
    drawn = draw([rectangle(0.3, albedo=black), floor], one_light(color=0.0, ambient=1.0), CAMERA, WIDTH, HEIGHT)
    wall = drawn.color[:58, 30, 0] / drawn.color[5, 30, 0]  # the corner is seen at row 40 + 110 * 0.05 / 0.3 = 58.3
    assert wall[54:58].max() < 0.95
    assert wall[54:58].min() < 0.9
    np.testing.assert_allclose(wall[:48], 1.0, rtol=1e-6)


def scene() -> list[Surface]:
    rng = np.random.default_rng(4)
    noise = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    relief = rng.normal(0, 1e-4, (32, 32)).astype(np.float32)
    uv = rng.uniform(size=(49 * 96, 2))
    labels = np.arange(2 * 48 * 96) % 19
    ball = sphere((0.02, 0.0, 0.5), 0.1)
    return [
        Surface(ball.vertices, ball.faces, uv, ball.faces, noise, relief, 0.4, labels),
        rectangle(0.7, 0.3, albedo=noise),
    ]


def assert_same(first: Drawn, second: Drawn) -> None:
    for name in ("color", "alpha", "depth", "label", "uv"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_same_bits_whatever_the_threads() -> None:
    lights = one_light((0.4, -0.3, -1.0), ambient=0.3, softness=0.003)
    expected = draw(scene(), lights, CAMERA, WIDTH, HEIGHT)
    with ThreadPoolExecutor(4) as pool:
        for drawn in pool.map(lambda _: draw(scene(), lights, CAMERA, WIDTH, HEIGHT), range(8)):
            assert_same(drawn, expected)


def test_nothing_to_draw_and_nothing_to_see() -> None:
    nothing = Drawn.empty(WIDTH, HEIGHT)
    assert np.isnan(nothing.uv).all()
    assert nothing.color.shape == (HEIGHT, WIDTH, 3)
    for surfaces in ([], [rectangle(-1.0)], [rectangle(1.0, 0.1, center=(5.0, 0.0))], [rectangle(0.01)]):
        assert_same(draw(surfaces, one_light(), CAMERA, WIDTH, HEIGHT), nothing)


def test_what_is_behind_the_camera_hides_nothing() -> None:
    lights = one_light()
    through = surface([(0.0, 0.0, -1.0), (0.1, 0.0, 0.5), (0.0, 0.1, 0.5)], [[0, 1, 2]], labels=[18])
    seen = draw([rectangle(1.0), through], lights, CAMERA, WIDTH, HEIGHT)
    assert (seen.label == 0).all()
    assert (seen.alpha == 1).all()


@pytest.mark.parametrize("supersample", [1, 3, 4])
def test_other_numbers_of_samples(supersample: int) -> None:
    lights = one_light((0.3, 0.2, -1.0), ambient=0.2)
    few, usual = (draw(scene(), lights, CAMERA, WIDTH, HEIGHT, n) for n in (supersample, 2))
    assert few.alpha.sum() == pytest.approx(usual.alpha.sum(), rel=0.02)
    assert set(np.unique(np.round(few.alpha * supersample**2, 4))) <= set(range(supersample**2 + 1))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="width and height"):
        draw([], one_light(), CAMERA, 0, 5)
    with pytest.raises(ValueError, match="supersample"):
        draw([], one_light(), CAMERA, 5, 5, 9)
    with pytest.raises(ValueError, match="camera_matrix"):
        draw([], one_light(), np.zeros((3, 3)), 5, 5)


def test_a_picture_without_numba_says_what_draws_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "numba", None)
    with pytest.raises(ImportError, match="torch_drawing"):
        draw([rectangle(1.0)], one_light(), CAMERA, WIDTH, HEIGHT)


def test_surfaces_that_share_a_texture_share_its_texels() -> None:
    albedo = np.random.default_rng(5).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    first, second = rectangle(1.0, albedo=albedo), rectangle(2.0, albedo=albedo)
    other = rectangle(3.0, albedo=albedo.copy())
    table, texels = texture_table([first, other, second])
    assert table.tolist() == [[0, 16], [341, 16], [0, 16]]  # 341 = 256 + 64 + 16 + 4 + 1
    assert len(texels) == 2 * 341
    np.testing.assert_array_equal(texels[:341], texels[341:])
    np.testing.assert_allclose(texels[340, :3], texels[:256, :3].mean(axis=0), rtol=1e-5)  # the last level is the mean


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices": np.zeros((3, 2))}, "vertices"),
        ({"vertices": np.full((3, 3), np.nan)}, "finite"),
        ({"faces": [[0, 1, 3]]}, "faces"),
        ({"uv_faces": [[0, 1, 2], [0, 1, 2]]}, "uv_faces"),
        ({"labels": [1, 2]}, "labels"),
        ({"albedo": np.zeros((4, 5, 3), np.uint8)}, "albedo"),
        ({"relief": np.zeros((5, 5))}, "relief"),
        ({"gloss": 1.5}, "gloss"),
        ({"scattering": -1.0}, "scattering"),
    ],
)
def test_surfaces_refuse_what_does_not_fit(change: dict, message: str) -> None:
    fields = {
        "vertices": np.zeros((3, 3)), "faces": [[0, 1, 2]], "uv": np.zeros((3, 2)), "uv_faces": [[0, 1, 2]],
        "albedo": np.zeros((4, 4, 3), np.uint8), "relief": None, "gloss": 0.2, "labels": [0],
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        Surface(**{**fields, **change})
