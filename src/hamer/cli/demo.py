"""`hamer demo`: a folder of pictures to overlays, meshes and tables."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.pipeline import HandReconstructor
    from hamer.results import Outputs, RunFolder

_HELP = """\
Reconstruct every hand in a folder of pictures (or in one picture).

For every picture NAME there are in the out folder:
  NAME_all.jpg      all hands drawn over the picture
  NAME_0.png ...    each hand: crop | mesh over it | mesh from the side with --side_view
  NAME_0.obj ...    meshes, with --save_mesh
  NAME.json         boxes, joints, MANO parameters, camera (docs/formats.md)
  NAME.npz NAME.glb the same with vertices; all hands as one 3D scene
A picture that cannot be read is reported and skipped. Run the same command again to continue an interrupted run.

examples:
  hamer demo --img_folder photos --out_folder out
  hamer demo --img_folder hand.jpg --out_folder out --side_view --save_mesh
  hamer demo --img_folder photos --out_folder out --boxes my_boxes.json
  hamer demo --img_folder photos --out_folder out --checkpoint _DATA/hamer_ckpts/checkpoints/hamer.ckpt
"""


def add_parser(subparsers: Any) -> None:
    """Add `demo` to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="pictures in, hands in 3D out",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(
    parser: argparse.ArgumentParser,
    *,
    checkpoint: str = "auto",
    body_detector: str = "auto",
    file_type: Sequence[str] | None = None,
) -> None:
    """All flags of the demo; the arguments are the defaults in which `demo.py` and `hamer demo` differ."""
    what = parser.add_argument_group("what to reconstruct")
    what.add_argument("--img_folder", default="images", help="folder of pictures, or one picture (default: images)")
    what.add_argument(
        "--file_type",
        nargs="+",
        default=file_type,
        help="patterns such as *.jpg *.png (default: %(default)s; None: all kinds)",
    )
    what.add_argument("--boxes", metavar="FILE", help="your own hand boxes, instead of searching (docs/detectors.md)")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--checkpoint", default=checkpoint,
        help="HaMeR weights; 'none' for the built-in way; 'auto' takes hamer.ckpt where it is present, else the built-in way "
        "(default: %(default)s)",
    )  # fmt: skip
    how.add_argument(
        "--body_detector", default=body_detector, choices=["auto", "mediapipe", "vitdet", "regnety"],
        help="what finds the hands (default: %(default)s)",
    )  # fmt: skip
    how.add_argument(
        "--hand_model", default="open", help="for the built-in way: open, mano, or a MANO file (default: open)"
    )
    how.add_argument("--refine", action="store_true", help="fit a network's result to the detector's keypoints")
    how.add_argument("--rescale_factor", type=float, default=2.0, help="crop size over box size (default: 2.0)")
    how.add_argument(
        "--batch_size", type=int, default=8, help="crops a network pass, and pictures worked on together (default: 8)"
    )
    how.add_argument(
        "--focal_length",
        type=float,
        nargs="+",
        metavar="PX",
        help="fx [fy] of the camera in px (default: from EXIF, else assumed)",
    )
    how.add_argument(
        "--principal_point",
        type=float,
        nargs=2,
        metavar=("CX", "CY"),
        help="in px, with --focal_length (default: the centre)",
    )
    how.add_argument(
        "--distortion",
        type=float,
        nargs="+",
        metavar="K",
        help="OpenCV coefficients k1 k2 p1 p2 [k3 ...], with --focal_length",
    )
    how.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    how.add_argument(
        "--precision",
        default="float32",
        choices=["float32", "bfloat16", "float16", "int8"],
        help="of the network (default: float32)",
    )
    how.add_argument(
        "--effort",
        default="normal",
        choices=["fast", "normal", "thorough"],
        help="how hard mediapipe searches: fast for large hands, thorough for tiny ones (default: normal)",
    )
    how.add_argument(
        "--min_score", type=float, help="leave out hands below this score, 0 to 1 (default: the detector's own, 0.4)"
    )
    how.add_argument("--threads", type=int, help="CPU threads (default: all)")
    out = parser.add_argument_group("what to write")
    out.add_argument("--out_folder", default="demo_out", help="where results go (default: demo_out)")
    out.add_argument("--side_view", action="store_true", help="add a view from the side to each hand's row")
    out.add_argument(
        "--full_frame", action=argparse.BooleanOptionalAction, default=True, help="write NAME_all.jpg (default: yes)"
    )
    out.add_argument("--save_mesh", action="store_true", help="write an OBJ file for every hand")
    out.add_argument(
        "--html", action="store_true", help="write NAME.html, a 3D view that opens in any browser, offline"
    )
    out.add_argument(
        "--frame", default="viewer", choices=["viewer", "opencv"], help="axes of mesh files (default: viewer, y up)"
    )
    out.add_argument("--overwrite", action="store_true", help="do pictures again that an earlier run finished")


def run(args: argparse.Namespace) -> int:
    """Reconstruct, write, and close with a summary; 0 if every picture went well, 1 if one failed, 2 on wrong usage."""
    from hamer.pipeline import list_pictures
    from hamer.results import Outputs, RunFolder

    problem = _wrong_usage(args)
    if problem:
        print(f"hamer demo: {problem}", file=sys.stderr)
        return 2
    pictures = list_pictures(args.img_folder, args.file_type)
    if not pictures:
        kinds = " ".join(args.file_type) if args.file_type else "picture files"
        print(f"hamer demo: no {kinds} in {args.img_folder}; name another folder with --img_folder", file=sys.stderr)
        return 2
    outputs = Outputs(
        side_view=args.side_view, full_frame=args.full_frame, save_mesh=args.save_mesh, html=args.html,
        frame=args.frame, rescale_factor=args.rescale_factor,
    )  # fmt: skip
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    reconstructor = _build(args)
    print(f"hands: {reconstructor.detector_name}; 3D: {reconstructor.estimator.name}")
    try:
        folder = RunFolder(args.out_folder, pictures, _options(args, reconstructor, outputs))
    except OSError as error:
        print(f"hamer demo: cannot write to --out_folder {args.out_folder} ({error}); name another", file=sys.stderr)
        return 1
    return _process(args, reconstructor, folder, outputs)


def _wrong_usage(args: argparse.Namespace) -> str | None:
    """What is wrong with the flags, seen before anything is loaded; None where all is well."""
    for flag, number in (("batch_size", args.batch_size), ("threads", args.threads)):
        if number is not None and number < 1:
            return f"--{flag} must be at least 1, got {number}"
    if not 0 < args.rescale_factor < math.inf:
        return f"--rescale_factor must be positive and finite, got {args.rescale_factor}"
    if args.min_score is not None and not 0 <= args.min_score <= 1:
        return f"--min_score must lie in 0 to 1, got {args.min_score}"
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


def _build(args: argparse.Namespace) -> HandReconstructor:
    """The reconstructor that the flags ask for; "auto" takes the original's files where they are present."""
    from hamer.assets import find_original
    from hamer.pipeline import HandReconstructor

    weights: Path | None
    if args.checkpoint == "auto":
        weights = find_original("hamer_checkpoint")
    else:
        weights = None if args.checkpoint == "none" else Path(args.checkpoint)
    detector = "mediapipe" if args.body_detector == "auto" else args.body_detector
    _note_idle_flags(args, has_network=weights is not None)
    options: dict[str, Any] = {} if args.threads is None else {"threads": args.threads}
    if args.boxes:
        detector, options = "boxes", {**options, "boxes": args.boxes}
    elif detector == "mediapipe":
        _fetch_landmark_models()
        options |= {"effort": args.effort} | ({} if args.min_score is None else {"min_score": args.min_score})
    return HandReconstructor.from_pretrained(
        weights,
        detector=detector,
        detector_options=options,
        hand_model=args.hand_model,
        refine=args.refine,
        rescale_factor=args.rescale_factor,
        batch_size=args.batch_size,
        device=args.device,
        precision=args.precision,
    )


def _note_idle_flags(args: argparse.Namespace, *, has_network: bool) -> None:
    """Say which flags have no effect in the way that is taken."""
    if has_network:
        idle = ["--hand_model"] if args.hand_model != "open" else []
        reason = "a network uses the hand model of its checkpoint"
    else:
        asked = {"--refine": args.refine, "--precision": args.precision != "float32"}
        asked["--device"] = args.device not in ("auto", "cpu")
        idle = [flag for flag, is_asked in asked.items() if is_asked]
        reason = "there is no network here, and the built-in way runs on the CPU (--checkpoint names a network)"
    if idle:
        print(f"hamer demo: note: {', '.join(idle)} without effect: {reason}", file=sys.stderr)


def _fetch_landmark_models() -> None:
    """Fetch the detector's models now, where they are not here, so that the wait is seen."""
    from hamer import assets
    from hamer.cli.progress import DownloadBars

    if not assets.status("hand_landmarker").present:
        print("fetching the landmark models, once (8 MB; 35 MB by way of the package index)")
        with DownloadBars() as bars:
            assets.landmark_models(bars)


def _options(args: argparse.Namespace, reconstructor: HandReconstructor, outputs: Outputs) -> dict[str, Any]:
    """Everything that changes what is written, for `RunFolder`: also when a named file has got another content."""
    from hamer.results.run_folder import identity

    names = (
        "checkpoint",
        "boxes",
        "effort",
        "min_score",
        "hand_model",
        "refine",
        "focal_length",
        "principal_point",
        "distortion",
        "precision",
    )
    chosen = {n: getattr(args, n) for n in names}
    files = [identity(Path(chosen[n])) for n in ("checkpoint", "boxes", "hand_model") if chosen[n]]
    parts = {"detector": reconstructor.detector_name, "model": reconstructor.estimator.name}
    return {**chosen, **asdict(outputs), **parts, "files": files}


def _camera_of(args: argparse.Namespace) -> Any:
    """None, or a function of the picture that gives the camera of the flags."""
    if not args.focal_length:
        return None
    from hamer.structures import Camera

    def camera(picture: Any) -> Camera:
        cx, cy = args.principal_point or (picture.width / 2, picture.height / 2)
        return Camera(args.focal_length[0], args.focal_length[-1], cx, cy, tuple(args.distortion or ()))

    return camera


def _process(args: argparse.Namespace, reconstructor: HandReconstructor, folder: RunFolder, outputs: Outputs) -> int:
    from tqdm import tqdm

    from hamer.results import save

    waiting = folder.remaining(overwrite=args.overwrite)
    skipped = [p for p in folder.pictures if p not in set(waiting)]
    hands, failed, started = 0, [], time.perf_counter()
    with tqdm(total=len(waiting), unit="photo", disable=None, dynamic_ncols=True) as bar:

        def fail(source: Any, error: Exception) -> None:
            failed.append(source)
            folder.record_failed(Path(source), error)
            tqdm.write(f"skipped {source}: {error}", file=sys.stderr)
            bar.update()

        results = reconstructor.images(waiting, batch_size=args.batch_size, camera=_camera_of(args), on_error=fail)
        for result in results:
            path = Path(str(result.path))
            try:
                save(result, folder.folder, name=folder.names[path], outputs=outputs)
                folder.record_done(path, result)
            except OSError as error:  # a full disk or a lost folder would fail for every picture: say so and stop
                tqdm.write(
                    f"hamer demo: cannot write results of {path} to {folder.folder}: {error}; "
                    "make room there or name another --out_folder, and run the same command again to continue",
                    file=sys.stderr,
                )
                return 1
            except Exception as error:  # something about this picture alone
                fail(path, error)
                continue
            for note in result.notes:
                tqdm.write(f"{path}: {note}", file=sys.stderr)
            hands += len(result.hands)
            bar.update()
    done = len(waiting) - len(failed)
    seconds = time.perf_counter() - started
    print(f"{done} pictures, {hands} hands in {seconds:.1f} s; results in {folder.folder}")
    if skipped:
        print(f"{len(skipped)} pictures were finished by an earlier run (--overwrite does them again)")
    if failed:
        print(f"{len(failed)} of {len(folder.pictures)} pictures failed, see {folder.folder / 'run.jsonl'}")
    return 1 if failed else 0
