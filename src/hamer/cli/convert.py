"""`hamer convert`: a checkpoint to one safetensors file with its configuration inside."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from hamer.hand_models.arrays import HandModelArrays

_DESCRIPTION = """\
Read a HaMeR checkpoint, check it against its configuration, and write the network alone to a safetensors file: no
optimiser state, no pickle, half the size with --dtype bfloat16. The configuration goes into the file's header, so that
the result is all that load_hamer needs. Nothing in the checkpoint is executed.

The result holds MANO's arrays if the checkpoint does; MANO's licence does not allow passing them on. --without-mano
leaves them out, and loading then needs a MANO file of your own. The open hand's are never stored: they come with hamer.

--average-with takes the mean of several networks' weights, one of which was trained on from the other: often better than
either, above all on pictures that look unlike the training's (Wortsman et al. 2022).
"""
_EXAMPLES = """\
examples:
  hamer convert _DATA/hamer_ckpts/checkpoints/hamer.ckpt hamer.safetensors
  hamer convert logs/train/run/checkpoints/last.ckpt small.safetensors --dtype bfloat16 --without-mano
  hamer convert logs/train/built_in/checkpoints/last.ckpt built_in.safetensors --dtype float16 --head-too
  hamer convert tuned.ckpt mean.safetensors --average-with start.safetensors
"""
# Sections of a configuration that describe the network and its crops; the others belong to one training run on one
# machine.
_KEPT_SECTIONS = ("MODEL", "MANO", "EXTRA", "DATASETS", "LOSS_WEIGHTS")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to `hamer`'s parser."""
    parser = subparsers.add_parser(
        "convert",
        help="turn a checkpoint into a safetensors file",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "checkpoint", type=Path, help="hamer.ckpt (model_config.yaml two folders above), .pth or .safetensors"
    )
    parser.add_argument(
        "output", type=Path, nargs="?", help="file to write (default: the checkpoint's name, .safetensors)"
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="numbers in the file; bfloat16 halves it; made-up weights then move vertices by 0.1 mm (default: %(default)s)",
    )
    parser.add_argument(
        "--head-too", action="store_true", help="--dtype for all matrices: in a small network the head is a large part"
    )
    parser.add_argument(
        "--average-with", type=Path, nargs="+", default=[], metavar="FILE",
        help="networks of the same sizes: the mean of their weights and the checkpoint's; its configuration stays",
    )  # fmt: skip
    parser.add_argument(
        "--without-mano", action="store_true", help="leave MANO's arrays out, so that the file may be passed on"
    )
    parser.add_argument(
        "--keep-discriminator", action="store_true", help="keep the training's adversary, to go on training"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert; 0 on success, 1 with a message on stderr otherwise, 2 on wrong usage."""
    output: Path = args.output or args.checkpoint.with_suffix(".safetensors")
    if output.suffix != ".safetensors":
        return _fail(f"the output must end in .safetensors, got {output}", status=2)
    if output.exists() and args.checkpoint.exists() and output.samefile(args.checkpoint):
        return _fail(f"the output must be another file than the checkpoint, got {output} for both", status=2)
    if output.exists() and not args.overwrite:
        return _fail(f"{output} exists; give another name or --overwrite", status=2)
    if not output.parent.is_dir():  # said before the minutes that a checkpoint takes
        return _fail(f"there is no folder {output.parent} for the output; make it first", status=2)
    try:
        n_tensors = convert(
            args.checkpoint,
            output,
            dtype=args.dtype,
            head_too=args.head_too,
            with_mano=not args.without_mano,
            with_discriminator=args.keep_discriminator,
            average_with=args.average_with,
        )
    except (ValueError, OSError) as error:
        return _fail(str(error))
    size = output.stat().st_size
    print(f"{output}: {n_tensors} tensors, {size / 1e6:,.1f} MB ({args.dtype})")
    print(f"use it with: hamer demo --checkpoint {output}")
    return 0


def convert(
    checkpoint: str | Path,
    output: str | Path,
    *,
    dtype: str = "float32",
    head_too: bool = False,
    with_mano: bool = True,
    with_discriminator: bool = False,
    average_with: Sequence[str | Path] = (),
) -> int:
    """Write the network of `checkpoint` to `output`; returns the number of tensors written.

    Args:
        checkpoint: anything that `hamer.models.load_hamer` reads.
        output: a `.safetensors` file.
        dtype: of the backbone's large matrices, 94 % of the network; the rest is small, matters more, and stays
            float32.
        head_too: all matrices of the network, not the backbone's alone; a landmark model's trunk in float16 at least.
        with_mano: include `mano.*`, unless it is the open hand as the package has it.
        with_discriminator: include `discriminator.*`.
        average_with: further networks, for the mean of all their weights.

    Raises:
        ValueError: networks of other sizes, or of another hand, cannot be averaged.
    """
    from hamer.checkpoints.weights import write_safetensors
    from hamer.models import load_hamer

    model, cfg = load_hamer(checkpoint)
    is_open = _is_shipped(model.mano.arrays)
    left_out = (() if with_mano and not is_open else ("mano.",)) + (() if with_discriminator else ("discriminator.",))
    tensors = {
        name: _lowered(name, value, dtype, head_too)
        for name, value in _averaged(model.state_dict(), average_with).items()
        if not name.startswith(left_out)
    }
    has_adversary = any(name.startswith("discriminator.") for name in tensors)
    write_safetensors(output, tensors, config=_portable(cfg.to_dict(), has_adversary, is_open))
    return len(tensors)


def _averaged(state: dict[str, Tensor], others: Sequence[str | Path]) -> dict[str, Tensor]:
    """The mean of a network's numbers and others'; the hand and what is counted are the first one's."""
    from hamer.models import load_hamer

    total = dict(state)
    for file in others:
        other = load_hamer(file)[0].state_dict()
        unlike = sorted(
            name for name in {*state, *other}
            if name not in state or name not in other or state[name].shape != other[name].shape
            or (name.startswith("mano.") and not state[name].equal(other[name]))
        )  # fmt: skip
        if unlike:
            raise ValueError(
                f"networks that are averaged must have the same sizes and the same hand, but {file} differs in "
                f"{len(unlike)} tensors, e.g. {unlike[0]}"
            )
        total = {name: value + other[name] if _is_learned(name, value) else value for name, value in total.items()}
    count = 1 + len(others)
    return {name: value / count if _is_learned(name, value) else value for name, value in total.items()}


def _is_learned(name: str, value: Tensor) -> bool:
    return value.is_floating_point() and not name.startswith("mano.")


def _lowered(name: str, value: Tensor, dtype: str, head_too: bool) -> Tensor:
    """A tensor as the file holds it. A trunk was published in float16, which bfloat16 would round."""
    import torch

    from hamer.models.landmark_stem import IN_NETWORK
    from hamer.models.precision import is_lowered

    if not is_lowered(name) and not (head_too and _is_matrix(name, value)):
        return value
    exact = "float16" if name.startswith(IN_NETWORK) and dtype == "bfloat16" else dtype
    return value.to(getattr(torch, exact))


def _is_matrix(name: str, value: Any) -> bool:
    """Whether a tensor is one of the network's weight matrices; the hand, and what is small, stay exact."""
    return value.is_floating_point() and value.ndim >= 2 and value.numel() >= 4096 and not name.startswith("mano.")


def _is_shipped(hand: HandModelArrays) -> bool:
    """Whether a hand is the open hand that comes with this package."""
    import numpy as np

    from hamer.checkpoints.hand_files import load_open_hand

    if hand.name != "open":
        return False
    shipped = load_open_hand()
    names = ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights", "faces")
    return all(np.array_equal(getattr(hand, name), getattr(shipped, name)) for name in names)


def _portable(cfg: dict[str, Any], has_adversary: bool, is_open: bool) -> dict[str, Any]:
    """The configuration without what belongs to this machine: data paths in the original's layout, no other paths."""
    from hamer.configs.reader import OPEN_HAND

    kept = {key: _without_places(cfg[key]) for key in _KEPT_SECTIONS if key in cfg}
    kept["MANO"] |= {"MODEL_PATH": "data/mano", "MEAN_PARAMS": "data/mano_mean_params.npz", "DATA_DIR": "_DATA/data/"}
    if is_open:
        kept["MANO"]["MODEL_PATH"] = OPEN_HAND
    if not has_adversary:
        kept["LOSS_WEIGHTS"] = {**kept.get("LOSS_WEIGHTS", {}), "ADVERSARIAL": 0.0}
    return kept


def _without_places(settings: Any) -> Any:
    """`settings` without entries that are absolute paths."""
    if isinstance(settings, dict):
        return {key: _without_places(value) for key, value in settings.items() if not _is_place(value)}
    if isinstance(settings, list):
        return [_without_places(value) for value in settings if not _is_place(value)]
    return settings


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and Path(value).is_absolute()


def _fail(message: str, *, status: int = 1) -> int:
    print(f"hamer convert: {message}", file=sys.stderr)
    return status
