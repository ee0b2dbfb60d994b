"""The flags of the evaluation, and what can be wrong with them before anything is loaded."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from hamer.cli.checkpoint_flag import HELP
from hamer.cli.flag_checks import below_one


def add_arguments(parser: argparse.ArgumentParser, *, checkpoint: str = "auto", dataset: str | None = None) -> None:
    """All flags; the arguments are the defaults in which `eval.py` and `hamer eval` differ."""
    what = parser.add_argument_group("what to evaluate")
    what.add_argument("--checkpoint", default=checkpoint, help=HELP)
    what.add_argument(
        "--dataset", default=dataset,
        help="names of sets, with commas (default: " + (dataset or "those whose annotations are here") + ")",
    )  # fmt: skip
    what.add_argument(
        "--photos", nargs="+", type=Path, metavar="FILE", help="annotated photos of your own (docs/evaluation.md)"
    )
    what.add_argument(
        "--datasets_file", type=Path, metavar="YAML", help="another list of sets, such as hamer data convert writes"
    )
    what.add_argument(
        "--compare", nargs=2, metavar=("A", "B"),
        help="two checkpoints (or 'built-in', 'fit'), or two saved results (.npz): which is better, with intervals",
    )  # fmt: skip
    how = parser.add_argument_group("how")
    how.add_argument(
        "--mode", default="boxes", choices=["boxes", "detector"],
        help="boxes: the annotated boxes are given, as in the paper; detector: hands are searched, as users do (default: boxes)",
    )  # fmt: skip
    how.add_argument(
        "--body_detector", default="mediapipe", choices=["mediapipe", "vitdet", "regnety"], help="of --mode detector"
    )
    how.add_argument(
        "--effort",
        default="normal",
        choices=["fast", "normal", "thorough"],
        help="how hard mediapipe searches (default: normal)",
    )
    how.add_argument("--batch_size", type=int, default=16, help="crops a forward pass (default: 16)")
    how.add_argument("--num_samples", type=int, default=1, help="without effect: the network gives one hand a crop")
    how.add_argument(
        "--num_workers",
        type=int,
        default=min(8, os.cpu_count() or 1),
        help="processes that read pictures (default: %(default)s)",
    )
    how.add_argument(
        "--log_freq", type=int, default=10, help="batches between figures in the progress bar (default: 10)"
    )
    how.add_argument("--shuffle", action="store_true", help="in random order; the results are the same")
    how.add_argument("--max_hands", type=int, metavar="N", help="only the first N hands of a set (or N pictures)")
    how.add_argument(
        "--min_iou", type=float, default=0.3, help="overlap of boxes from which a hand is found (default: 0.3)"
    )
    how.add_argument(
        "--hand_model",
        default="open",
        help="of the built-in network and fits: open, mano, or a MANO file (default: open)",
    )
    how.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    how.add_argument(
        "--precision", default="float32", choices=["float32", "bfloat16", "float16", "int8"], help="of the network"
    )
    how.add_argument("--threads", type=int, help="CPU threads (default: all)")
    out = parser.add_argument_group("what to write")
    out.add_argument("--results_folder", type=Path, default=Path("results"), help="where results go (default: results)")
    out.add_argument("--exp_name", help="of this run in the table (default: the folder above the checkpoint's)")
    out.add_argument("--overwrite", action="store_true", help="predict again what an earlier run finished")


def wrong_usage(args: argparse.Namespace) -> str | None:
    """What is wrong with the flags, seen before anything is loaded; None where all is well."""
    wrong = below_one(args, "batch_size", "log_freq", "max_hands", "threads")
    if wrong:
        return wrong
    if args.num_workers < 0:
        return f"--num_workers must be 0 or more, got {args.num_workers}"
    if not 0 < args.min_iou <= 1:
        return f"--min_iou must be above 0 and at most 1, got {args.min_iou}"
    for file in [*(args.photos or []), *([args.datasets_file] if args.datasets_file else [])]:
        if not file.is_file():
            return f"there is no file {file}"
    if args.results_folder.exists() and not args.results_folder.is_dir():
        return f"--results_folder must be a folder, and {args.results_folder} is a file"
    if args.checkpoint not in ("auto", "none") and args.compare:
        return "--compare names the checkpoints; leave --checkpoint out"
    if args.compare and [Path(p).suffix == ".npz" for p in args.compare] not in ([True, True], [False, False]):
        return f"--compare takes two checkpoints or two saved results (.npz), got {' and '.join(args.compare)}"
    absent = [p for p in args.compare or [] if Path(p).suffix == ".npz" and not Path(p).is_file()]
    return f"there is no file {absent[0]}" if absent else None
