"""`hamer distill`: train a small network on what a large one says about the same pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_DESCRIPTION = """\
Train a small student from a large teacher: it learns the teacher's hands and features on the pictures of your data.
It needs no annotations and no MANO file; the hand is the teacher's. Everything else is as in `hamer train`: the same
choices (data, trainer, launcher), the same folders, and the same exp_name again continues.
"""

_EXAMPLES = """\
examples:
  hamer distill --teacher hamer.ckpt --student b exp_name=small data=mix_all trainer=gpu
      a ViT-B student, seven times smaller than the published network
  hamer distill --teacher hamer.ckpt --student s exp_name=tiny data=own DATASETS.FILE=dataset.yaml DISTILL.GROUND_TRUTH=0.1
      a ViT-S student that also looks at your annotations
  hamer distill --teacher hamer.ckpt --student b --start vitpose_b.pth exp_name=small trainer.precision=bf16-mixed
      with a backbone that ViTPose has trained

The student is logs/train/runs/EXP_NAME/checkpoints/last.ckpt, for hamer demo --checkpoint and hamer.models.load_hamer.
"""


def add_parser(subparsers: Any) -> None:
    """Add `distill` to the command line."""
    parser = subparsers.add_parser(
        "distill",
        help="train a small network from a large one",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--teacher", type=Path, help="its checkpoint (.ckpt or .safetensors); default: the original's")
    parser.add_argument("--student", choices=("s", "b", "l"), default="b", help="size of its backbone, ViT-S, B or L")
    parser.add_argument("--start", type=Path, help="weights for the student's backbone (ViTPose or MAE of its size)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for hamer train; exp_name=NAME is needed")
    parser.add_argument("-m", "--multirun", action="store_true", help="a run for each value of a,b,c lists")
    parser.add_argument("--cfg", nargs="?", const="job", choices=("job", "hydra", "all"), help="show the configuration")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compose and train; the exit status says whether the run came to its end."""
    from hamer.cli.train import run as train

    for path in (args.teacher, args.start):
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"no weights at {path}; --teacher takes a HaMeR checkpoint, --start a backbone's")
    args.overrides = overrides_of(args)
    return train(args)


def overrides_of(args: argparse.Namespace) -> list[str]:
    """The configuration's words for the options; what the user wrote himself comes last and wins."""
    chosen = [f"experiment=distill_vit_{args.student}"]
    if args.teacher is not None:
        chosen.append(f"DISTILL.TEACHER={_quoted(args.teacher)}")
    if args.start is not None:
        chosen.append(f"MODEL.BACKBONE.PRETRAINED_WEIGHTS={_quoted(args.start)}")
    if any(override.startswith("experiment=") for override in args.overrides):
        chosen = chosen[1:]
    return [*chosen, *args.overrides]


def _quoted(path: Path) -> str:
    """A path as hydra reads it, whatever characters it has; absolute, since a run may change its folder."""
    text = str(path.absolute()).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
