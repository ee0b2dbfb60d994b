"""Give a network the landmark model's convolutions for a stem (`hamer.models.landmark_stem`): what a training starts from.

    python tools/add_landmark_stem.py start.safetensors [--start_from trained.safetensors]

The trunk's weights are the landmark model's, which is fetched; whatever else fits by name and shape comes from
`--start_from`, the rest is random. The configuration is that of `experiment=built_in`. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from omegaconf import OmegaConf

from hamer.assets import landmark_models
from hamer.checkpoints.hand_files import load_open_hand
from hamer.checkpoints.weights import read_weights, write_safetensors
from hamer.configs.compose import compose
from hamer.configs.node import ConfigNode
from hamer.models.hamer import build_hamer
from hamer.models.landmark_stem import LandmarkStem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="a .safetensors file")
    parser.add_argument("--start_from", type=Path, help="a network whose other parts are taken over")
    parser.add_argument("--seed", type=int, default=0, help="of what is random (default: %(default)s)")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    cfg = experiment()
    network = build_hamer(cfg, load_open_hand())
    stem = network.backbone.patch_embed
    if not isinstance(stem, LandmarkStem):
        raise SystemExit("experiment=built_in must have MODEL.BACKBONE.TRUNK: hand_landmark")
    taken = 0
    if args.start_from:
        own = network.state_dict()
        known = read_weights(args.start_from).tensors
        fitting = {n: v for n, v in known.items() if n in own and own[n].shape == v.shape and not n.startswith("mano.")}
        network.load_state_dict(fitting, strict=False)
        taken = len(fitting)
    stem.trunk.load(landmark_models().landmark)
    tensors = {name: value for name, value in network.state_dict().items() if not name.startswith("mano.")}
    write_safetensors(args.output, tensors, config=cfg.to_dict())
    print(f"{args.output}: {len(tensors)} tensors" + (f", {taken} of them from {args.start_from}" if taken else ""))


def experiment() -> ConfigNode:
    """The parts of `experiment=built_in` that say what the network is."""
    whole = compose(["experiment=built_in"])
    return ConfigNode({key: OmegaConf.to_container(whole[key], resolve=True) for key in ("MODEL", "MANO", "EXTRA")})


if __name__ == "__main__":
    main()
