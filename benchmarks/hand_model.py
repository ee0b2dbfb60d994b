"""Claim: `HandModel` is faster than skinning written the usual way, and its joints alone cost less still.

The baseline follows the equations literally, as common code does: joints regressed from the shaped
vertices at each call, the tree walked joint by joint with 4x4 matrices, one blended 4x4 matrix a
vertex applied to homogeneous points.

    python benchmarks/hand_model.py [--threads 1] [--batches 1 8 64]
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models import HandModel, HandModelArrays


def made_up_hand(n_vertices: int = 778) -> HandModelArrays:
    """Random arrays of MANO's size: speed does not depend on their values."""
    rng = np.random.default_rng(0)
    weights, regressor = rng.random((n_vertices, 16)) ** 4, rng.random((16, n_vertices)) ** 8
    return HandModelArrays(
        name="mano",
        v_template=0.05 * rng.normal(size=(n_vertices, 3)),
        shapedirs=0.002 * rng.normal(size=(n_vertices, 3, 10)),
        posedirs=0.001 * rng.normal(size=(n_vertices, 3, 135)),
        J_regressor=regressor / regressor.sum(1, keepdims=True),
        lbs_weights=weights / weights.sum(1, keepdims=True),
        faces=rng.integers(0, n_vertices, (1538, 3)),
    )


class UsualSkinning:
    """The baseline."""

    def __init__(self, arrays: HandModelArrays) -> None:
        names = ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights")
        self.arrays = {name: torch.tensor(getattr(arrays, name), dtype=torch.float32) for name in names}
        self.parents = arrays.parents

    def __call__(self, wrist: Tensor, fingers: Tensor, betas: Tensor) -> Tensor:
        """Vertices (B, V, 3)."""
        arrays, batch = self.arrays, len(betas)
        shaped = arrays["v_template"] + torch.einsum("bl,vkl->bvk", betas, arrays["shapedirs"])
        joints = torch.einsum("bvk,jv->bjk", shaped, arrays["J_regressor"])
        features = (fingers - torch.eye(3)).reshape(batch, -1)
        posed = shaped + (features @ arrays["posedirs"].flatten(0, 1).T).reshape(batch, -1, 3)
        moves = self._moves(torch.cat([wrist[:, None], fingers], 1), joints)
        blended = (arrays["lbs_weights"].expand(batch, -1, -1) @ moves.reshape(batch, 16, 16)).reshape(batch, -1, 4, 4)
        homogeneous = torch.cat([posed, torch.ones_like(posed[..., :1])], dim=2)
        return (blended @ homogeneous[..., None])[:, :, :3, 0]

    def _moves(self, rotations: Tensor, joints: Tensor) -> Tensor:
        bones = joints.clone()
        bones[:, 1:] -= joints[:, self.parents[1:]]
        local = torch.cat([F.pad(rotations, (0, 0, 0, 1)), F.pad(bones[..., None], (0, 0, 0, 1), value=1.0)], dim=3)
        chain = [local[:, 0]]
        for joint in range(1, 16):
            chain.append(chain[self.parents[joint]] @ local[:, joint])
        world = torch.stack(chain, dim=1)
        offset = world @ F.pad(joints[..., None], (0, 0, 0, 1))
        return world - F.pad(offset, (3, 0))


def milliseconds(runs: Sequence[Callable[[], object]], rounds: int = 30) -> list[float]:
    """Best time of each call; the calls take turns, so that other work on the machine meets all alike."""
    best = [float("inf")] * len(runs)
    for turn in range(rounds + 3):
        for k, run in enumerate(runs):
            start = time.perf_counter()
            run()
            if turn >= 3:  # the first rounds warm up
                best[k] = min(best[k], 1e3 * (time.perf_counter() - start))
    return best


def cpu_model() -> str:
    """Name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    arrays = made_up_hand()
    model, usual = HandModel(arrays), UsualSkinning(arrays)
    print(
        f"{cpu_model()}, {options.threads} thread(s), torch {torch.__version__}, float32; milliseconds a batch, best of 30\n"
    )
    print(f"{'hands':>6} {'':>9} {'usual':>9} {'HandModel':>10} {'ratio':>6} {'joints alone':>13} {'ratio':>6}")
    for batch in options.batches:
        generator = torch.Generator().manual_seed(0)
        wrist = aa_to_rotmat(torch.randn(batch, 3, generator=generator)).requires_grad_()
        fingers = aa_to_rotmat(torch.randn(batch, 15, 3, generator=generator)).requires_grad_()
        betas = torch.randn(batch, 10, generator=generator).requires_grad_()
        inputs = (wrist, fingers, betas)
        forward: list[Callable[[], Tensor]] = [
            partial(usual, *inputs),
            partial(lambda *x: model(*x).vertices, *inputs),
            partial(model.joints, *inputs),
        ]
        assert torch.allclose(forward[0](), forward[1](), atol=1e-5)
        with torch.no_grad():
            report(batch, "forward", milliseconds(forward))
        report(batch, "+ gradient", milliseconds([partial(with_gradient, run) for run in forward]))


def with_gradient(run: Callable[[], Tensor]) -> None:
    """A call and the gradients of a scalar of its result."""
    run().square().sum().backward()


def report(batch: int, what: str, times: list[float]) -> None:
    """One line of the table: the baseline's time, then each time with its ratio to the baseline."""
    usual, ours, joints = times
    print(
        f"{batch:>6} {what:>10} {usual:>8.2f} {ours:>10.2f} {usual / ours:>5.1f}x {joints:>13.2f} {usual / joints:>5.1f}x"
    )


if __name__ == "__main__":
    main()
