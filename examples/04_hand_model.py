"""The hand model on its own: bend it, shape it, differentiate through it.

python examples/04_hand_model.py hand.obj
"""

from __future__ import annotations

import sys

import torch

from hamer.export import write_obj
from hamer.pipeline.reconstructor import load_hand_model
from hamer.rendering import Mesh


def main(file: str = "hand.obj") -> None:
    """Write a half closed hand and print how far its index fingertip moves with each beta."""
    hand = load_hand_model("open")
    pose = torch.zeros(45)
    pose[2::3] = 0.6  # every joint turned about z, the axis that bends fingers
    pose[38::3] = 0.0  # but the thumb's
    betas = torch.zeros(10, requires_grad=True)
    output = hand.forward_axis_angle(torch.zeros(3), pose, betas)
    output.joints[8].norm().backward()
    print("index tip, metres per unit beta:", betas.grad)
    write_obj(Mesh(output.vertices.detach().numpy(), hand.arrays.closed_faces), file)


if __name__ == "__main__":
    main(*sys.argv[1:])
