"""The flags of the demo, and what can be wrong with them before anything is loaded."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from hamer.cli.checkpoint_flag import HELP
from hamer.cli.flag_checks import below_one
from hamer.detectors import hand_detectors

Group: TypeAlias = argparse._ArgumentGroup


def add_arguments(
    parser: argparse.ArgumentParser,
    *,
    checkpoint: str = "auto",
    body_detector: str = "auto",
    file_type: Sequence[str] | None = None,
    suppression: bool = True,
) -> None:
    """All flags of the demo; the arguments are the defaults in which `demo.py` and `hamer demo` differ."""
    # for notes on flags without effect, which are only for those that were given
    parser.set_defaults(usual={"body_detector": body_detector, "suppression": suppression})
    _add_inputs(parser.add_argument_group("which pictures"), file_type)
    _add_finding(parser.add_argument_group("finding hands"), body_detector, suppression)
    _add_reconstruction(parser.add_argument_group("hands in 3D"), checkpoint)
    _add_machine(parser.add_argument_group("what it runs on"))
    _add_outputs(parser.add_argument_group("what to write"))


def _add_inputs(group: Group, file_type: Sequence[str] | None) -> None:
    group.add_argument("--img_folder", default="images", help="folder of pictures, or one picture (default: images)")
    group.add_argument(
        "--file_type",
        nargs="+",
        default=file_type,
        help=f"patterns such as *.jpg *.png (default: {' '.join(file_type) if file_type else 'all kinds'})",
    )
    group.add_argument("--boxes", metavar="FILE", help="your own hand boxes, instead of searching (docs/detectors.md)")


def _add_finding(group: Group, body_detector: str, suppression: bool) -> None:
    group.add_argument(
        "--body_detector", default=body_detector, choices=["auto", *(name for name in hand_detectors() if name != "boxes")],
        help="what finds the hands: mediapipe; vitdet or regnety find persons, and ViTPose the hands of each; auto takes vitdet, "
        "else regnety, where their files and ViTPose's are present, else mediapipe (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--effort",
        default="normal",
        choices=["fast", "normal", "thorough"],
        help="how hard mediapipe searches: fast for large hands, thorough for tiny ones (default: normal)",
    )
    group.add_argument(
        "--min_score",
        type=float,
        help="with mediapipe: leave out hands below this score, 0 to 1 (default: the detector's own, 0.4)",
    )
    group.add_argument(
        "--person_score", type=float, default=0.5,
        help="with vitdet or regnety: look at persons above this score, 0 to 1 (default: 0.5, as the original)",
    )  # fmt: skip
    group.add_argument(
        "--keypoint_score", type=float, default=0.5,
        help="with vitdet or regnety: a hand needs more than three keypoints above it, 0 to 1 (default: 0.5, as the original)",
    )  # fmt: skip
    group.add_argument(
        "--flip_test", action=argparse.BooleanOptionalAction, default=True,
        help="with vitdet or regnety: ViTPose looks at every person mirrored too; without it half the cost (default: yes)",
    )  # fmt: skip
    group.add_argument(
        "--suppression", action=argparse.BooleanOptionalAction, default=suppression,
        help="with vitdet or regnety: leave out doubled, swapped and phantom hands, and say so (default: "
        f"{'yes' if suppression else 'no, as the original'})",
    )  # fmt: skip
    group.add_argument(
        "--detector_precision", default="float32", choices=["float32", "bfloat16", "float16"],
        help="arithmetic of vitdet, regnety and ViTPose (default: float32)",
    )  # fmt: skip


def _add_reconstruction(group: Group, checkpoint: str) -> None:
    group.add_argument("--checkpoint", default=checkpoint, help=HELP)
    group.add_argument(
        "--hand_model", default="open",
        help="of the built-in network and of fits: open, mano, or a MANO file (default: open)",
    )  # fmt: skip
    group.add_argument(
        "--refine", action=argparse.BooleanOptionalAction,
        help="fit a network's result to the detector's keypoints (default: the built-in network's yes, a checkpoint's no)",
    )  # fmt: skip
    group.add_argument(
        "--rescale_factor", type=float,
        help="crop size over box size (default: as the network was trained; 2.0 for the published one)",
    )  # fmt: skip
    group.add_argument(
        "--focal_length",
        type=float,
        nargs="+",
        metavar="PX",
        help="fx [fy] of the camera in px (default: from EXIF, else assumed)",
    )
    group.add_argument(
        "--principal_point",
        type=float,
        nargs=2,
        metavar=("CX", "CY"),
        help="in px, with --focal_length (default: the centre)",
    )
    group.add_argument(
        "--distortion",
        type=float,
        nargs="+",
        metavar="K",
        help="OpenCV coefficients k1 k2 p1 p2 [k3 ...], with --focal_length",
    )
    group.add_argument(
        "--precision",
        default="float32",
        choices=["float32", "bfloat16", "float16", "int8"],
        help="arithmetic of the network that makes hands 3D (default: float32)",
    )


def _add_machine(group: Group) -> None:
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    group.add_argument("--threads", type=int, help="CPU threads (default: all)")
    group.add_argument(
        "--batch_size",
        type=int,
        default=8,
        help="crops or persons a network pass, and pictures worked on together (default: 8)",
    )
    group.add_argument(
        "--low_memory",
        action="store_true",
        help="with vitdet or regnety: one network in memory at a time; the results are the same",
    )


def _add_outputs(group: Group) -> None:
    group.add_argument("--out_folder", default="demo_out", help="where results go (default: demo_out)")
    group.add_argument("--side_view", action="store_true", help="add a view from the side to each hand's row")
    group.add_argument(
        "--full_frame", action=argparse.BooleanOptionalAction, default=True, help="write NAME_all.jpg (default: yes)"
    )
    group.add_argument("--save_mesh", action="store_true", help="write an OBJ file for every hand")
    group.add_argument(
        "--html", action="store_true", help="write NAME.html, a 3D view that opens in any browser, offline"
    )
    group.add_argument(
        "--frame", default="viewer", choices=["viewer", "opencv"], help="axes of mesh files (default: viewer, y up)"
    )
    group.add_argument("--overwrite", action="store_true", help="do pictures again that an earlier run finished")


def wrong_usage(args: argparse.Namespace) -> str | None:
    """What is wrong with the flags, seen before anything is loaded; None where all is well."""
    wrong = below_one(args, "batch_size", "threads")
    if wrong:
        return wrong
    if args.rescale_factor is not None and not 0 < args.rescale_factor < math.inf:
        return f"--rescale_factor must be positive and finite, got {args.rescale_factor}"
    for flag in ("min_score", "person_score", "keypoint_score"):
        score = getattr(args, flag)
        if score is not None and not 0 <= score <= 1:
            return f"--{flag} must lie in 0 to 1, got {score}"
    return (
        _wrong_camera(args)
        or _wrong_device(args.device)
        or _wrong_folders(Path(args.img_folder), Path(args.out_folder))
    )


def _wrong_camera(args: argparse.Namespace) -> str | None:
    focal = args.focal_length
    if focal and (len(focal) > 2 or not all(0 < f < math.inf for f in focal)):
        return f"--focal_length takes one or two positive numbers, got {focal}"
    if (args.principal_point or args.distortion) and not focal:
        return "--principal_point and --distortion need --focal_length"
    if not all(map(math.isfinite, [*(args.principal_point or ()), *(args.distortion or ())])):
        return f"--principal_point and --distortion take finite numbers, got {args.principal_point}, {args.distortion}"
    if args.distortion and len(args.distortion) not in (4, 5, 8):
        return f"--distortion takes 4, 5 or 8 coefficients (k1 k2 p1 p2 [k3 [k4 k5 k6]]), got {len(args.distortion)}"
    return None


def _wrong_device(device: str) -> str | None:
    if device in ("auto", "cpu"):
        return None
    from hamer.models.devices import pick_device

    try:
        pick_device(device)
    except ValueError as error:
        return f"--{error}"
    return None


def _wrong_folders(source: Path, target: Path) -> str | None:
    if not source.exists():
        return f"--img_folder must be a folder or a picture, but nothing exists at {source}"
    folder = source if source.is_dir() else source.parent
    if target.exists() and folder.resolve() == target.resolve():
        return f"--out_folder must not be the folder of the pictures ({folder}): results could replace them"
    if target.exists() and not target.is_dir():
        return f"--out_folder must be a folder, and {target} is a file"
    return None
