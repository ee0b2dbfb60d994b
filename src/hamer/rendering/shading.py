"""How light falls on a hand: one formula, run on scalars by the Numba kernels and on arrays by the NumPy version.

The lights stand still with respect to the camera: a large key light above and left of it, a weaker fill light at its
right, sky above and ground below as ambient light. Towards the silhouette the surface darkens a little, which keeps
fingers apart where they lie over one another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Unit vectors towards the lights, camera frame (y down, z away from the camera).
KEY = (-0.40, -0.64, -0.6560)
FILL = (0.80, 0.10, -0.5916)


def shade(nx: Any, ny: Any, nz: Any, px: Any, py: Any, pz: Any) -> tuple[Any, Any]:
    """Diffuse factor and white highlight for a surface at (px, py, pz) with normal (nx, ny, nz), camera frame.

    The normal need not be of unit length, but must lie on the side that is seen. A pixel's colour is
    base colour * diffuse + highlight, clipped to 1.
    """
    scale = 1.0 / np.sqrt(np.maximum(px * px + py * py + pz * pz, 1e-30))
    vx, vy, vz = -px * scale, -py * scale, -pz * scale
    # An interpolated normal can lean away from the viewer near the silhouette: bend it back to the edge, no further.
    scale = 1.0 / np.sqrt(np.maximum(nx * nx + ny * ny + nz * nz, 1e-30))
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    facing = nx * vx + ny * vy + nz * vz
    away = np.minimum(facing, 0.0)
    nx, ny, nz = nx - away * vx, ny - away * vy, nz - away * vz
    scale = 1.0 / np.sqrt(np.maximum(nx * nx + ny * ny + nz * nz, 1e-30))
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    facing = np.maximum(facing, 0.0)

    key = np.maximum(nx * KEY[0] + ny * KEY[1] + nz * KEY[2], 0.0)
    fill = np.maximum(nx * FILL[0] + ny * FILL[1] + nz * FILL[2], 0.0)
    ambient = 0.38 - 0.10 * ny
    diffuse = (ambient + 0.62 * key + 0.16 * fill) * (0.55 + 0.45 * np.sqrt(facing))

    # Blinn-Phong highlight of the key light, exponent 32.
    hx, hy, hz = KEY[0] + vx, KEY[1] + vy, KEY[2] + vz
    half = (nx * hx + ny * hy + nz * hz) / np.sqrt(np.maximum(hx * hx + hy * hy + hz * hz, 1e-30))
    shine = np.maximum(half, 0.0)
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine
    return diffuse, 0.10 * shine
