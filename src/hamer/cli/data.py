"""`hamer data`: pictures and annotations to training tars (`pack`), files looked over (`check`), and public sets."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamer.assets.files import is_disk_full
from hamer.cli import data_convert, data_hint, synthesize

if TYPE_CHECKING:
    from hamer.datasets.checking.drawing import ContactSheet
    from hamer.datasets.packing import DataSetCard, Pictures, SourceOptions

_DESCRIPTION = """\
Data sets. Your own: `hamer data pack` writes the tars that training reads from pictures and annotations, `hamer data check` looks
over tars and npz files, whoever wrote them, before a training trips over them (docs/training_data.md). Public ones:
`hamer data convert` makes evaluation files or training tars from official releases, `hamer data hint` completes, verifies and
draws HInt (docs/datasets.md). From nothing: `hamer data synthesize` makes pictures of hands with exact truth.
"""
_PACK = """\
Write training tars (webdataset shards of the original's format) from pictures and annotations.

What --annotations may be, told by the files themselves or named with --format:
  hamer       our json: one a picture, or one for all (docs/training_data.md); also the folder of results
              of `hamer demo`, as pseudo labels
  freihand    a folder with training_K.json, training_xyz.json and, if there, training_mano.json
  ho3d        HO-3D's folder, v2 or v3
  coco        a COCO-WholeBody annotation file; with --side, a file of single hands (keypoints of 63 numbers)
  interhand   the folder of InterHand2.6M's annotations
  hint        a folder of NAME_r.jpg with NAME_r.json

Pictures and hands that cannot be used are named, counted and left out. Upright JPEG and PNG files keep their bytes; others
are turned upright and written again. Interrupted, the same command continues; the same input gives the same bytes.
In the out folder: 000000.tar ..., manifest.jsonl (a line a shard), dataset.json (counts, licence, checksums) and
dataset.yaml (the lines that a training needs). `hamer data check OUT_FOLDER` comes next.

examples:
  hamer data pack --annotations my_hands.json --img_folder photos --out_folder packed
  hamer data pack --annotations my_hands.json --img_folder photos --out_folder packed/train --part train
  hamer data pack --annotations my_hands.json --img_folder photos --out_folder packed/val --part val --name OWN-VAL
  hamer data pack --annotations demo_out --img_folder photos --out_folder packed --min_score 0.8
  hamer data pack --annotations my_hands.json --out_folder packed --hand_model open --landmarks
  hamer data pack --annotations FreiHAND_pub_v2 --mano MANO_RIGHT.pkl --out_folder packed/freihand
  hamer data pack --annotations coco_wholebody_train_v1.0.json --img_folder train2017 --out_folder packed/cocow --max_side 640
  hamer data pack --annotations mine.json --out_folder packed --name LAB-TRAIN --licence "CC BY 4.0" --source "our lab"
"""
_CHECK = """\
Look over files for training: tars, brace patterns, folders of tars, lists of data sets (dataset.yaml), mocap and annotation
npz files. Every picture is decoded; every annotation is read without running what it might hold, and checked: fields, shapes,
numbers, sides, boxes and joints on the picture, joints in 2D against those in 3D, duplicate names, cut files.

errors are what training would fail on or learn nonsense from; warnings are worth a look. The exit status is 1 with errors
(--strict: also with warnings). After the problems come the numbers of the set and what training's filters leave of it.

examples:
  hamer data check packed
  hamer data check 'packed/{000000..000012}.tar' --draw 24
  hamer data check packed/dataset.yaml hamer_training_data/freihand_mocap.npz --json
"""


def add_parser(subparsers: Any) -> None:
    """Add `data` and its own commands to the command line."""
    parser = subparsers.add_parser(
        "data",
        help="data sets: pack your own, check, convert official releases, HInt's tools, made pictures",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="{pack,check,convert,hint,synthesize}")
    _add_pack(commands)
    _add_check(commands)
    data_convert.add_parser(commands)
    data_hint.add_parser(commands)
    synthesize.add_parser(commands)
    parser.set_defaults(run=lambda _args: parser.print_help() or 2)


def _add_pack(commands: Any) -> None:
    parser = commands.add_parser(
        "pack",
        help="pictures and annotations to training tars",
        description=_PACK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what to pack")
    what.add_argument("--annotations", type=Path, required=True, help="annotation file or folder")
    what.add_argument("--img_folder", type=Path, help="folder of the pictures (default: where the format keeps them)")
    what.add_argument(
        "--format", default="auto", choices=["auto", "hamer", "freihand", "ho3d", "coco", "interhand", "hint"],
        help="kind of annotation (default: auto)",
    )  # fmt: skip
    what.add_argument(
        "--split", help="part of a release: training, evaluation, train, val ... (default: the training one)"
    )
    what.add_argument("--side", choices=["left", "right"], help="side of hands whose annotation does not say it")
    what.add_argument(
        "--min_score", type=float, default=0.0, help="leave out results of `hamer demo` below (default: 0)"
    )
    what.add_argument(
        "--mano", type=Path, help="MANO file or folder: FreiHAND's and InterHand's poses need its mean pose"
    )
    what.add_argument(
        "--hand_model", choices=["mano", "open"], default="mano",
        help="that training will use; betas of the other are left out (default: mano)",
    )  # fmt: skip
    what.add_argument(
        "--part",
        choices=["train", "val"],
        help="only the pictures to train on, or only those kept apart (default: all)",
    )
    what.add_argument(
        "--validation_share",
        type=float,
        default=0.1,
        help="of pictures (or folders) that --part val takes (default: 0.1)",
    )
    out = parser.add_argument_group("what to write")
    out.add_argument("--out_folder", type=Path, required=True, help="folder of the shards")
    out.add_argument("--name", default="OWN-TRAIN", help="the set's name in configurations (default: OWN-TRAIN)")
    out.add_argument("--licence", default="", help="terms of use, for dataset.json")
    out.add_argument("--source", default="", help="where the data come from, for dataset.json")
    out.add_argument("--shard_size", type=int, default=1000, help="pictures a tar (default: 1000)")
    out.add_argument("--shard_megabytes", type=float, default=1000, help="size of a tar at most (default: 1000)")
    out.add_argument(
        "--box_factor", type=float, default=2.0,
        help="stored box over the box tight around the hand; 2 is what `hamer demo` crops (default: 2)",
    )  # fmt: skip
    out.add_argument("--min_keypoints", type=int, default=5, help="labelled joints that a hand needs (default: 5)")
    out.add_argument(
        "--max_side", type=int, metavar="PX", help="make larger pictures smaller (default: keep the bytes)"
    )
    out.add_argument(
        "--leave_out", nargs="+", default=[], choices=["keypoints_3d", "hand_pose", "betas"], help="fields to drop"
    )
    out.add_argument(
        "--landmarks", action="store_true",
        help="note what the landmark model sees of each hand, for networks that are given its points (experiment=built_in)",
    )  # fmt: skip
    out.add_argument(
        "--mocap", action="store_true", help="write mocap.npz too: the poses, for the training's adversary"
    )
    out.add_argument("--workers", type=int, help="threads that read pictures (default: one a processor)")
    out.add_argument("--overwrite", action="store_true", help="begin anew in a folder that holds another pack")
    out.add_argument("--strict", action="store_true", help="exit with 1 if anything was left out")
    parser.set_defaults(run=run_pack)


def _add_check(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="tars and npz files looked over and drawn",
        description=_CHECK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help=".tar, pattern with braces, .npz, .yaml or folder")
    parser.add_argument("--draw", type=int, metavar="N", help="write a sheet of N hands with joints and meshes")
    parser.add_argument(
        "--draw_file", type=Path, default=Path("data_check.jpg"), help="of the sheet (default: %(default)s)"
    )
    parser.add_argument(
        "--hand_model",
        default="open",
        help="compares poses with joints and draws them: open, mano, or a MANO file (default: open)",
    )
    parser.add_argument("--img_folder", type=Path, help="folder in which an annotation file's pictures must be")
    parser.add_argument(
        "--config", type=Path, help="model_config.yaml whose filters to count (default: the original's)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as json")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")
    parser.add_argument("--workers", type=int, help="threads that decode (default: one a processor)")
    parser.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> int:
    """Check; 0 without errors, 1 with some (or, --strict, with warnings), 2 on wrong usage."""
    from hamer.datasets.checking.arrays import check_npz
    from hamer.datasets.checking.drawing import ContactSheet
    from hamer.datasets.checking.findings import Findings
    from hamer.datasets.checking.paths import files_to_check
    from hamer.datasets.checking.sample_checks import Problem
    from hamer.datasets.checking.statistics import Statistics, training_filters
    from hamer.datasets.checking.tars import check_tar
    from hamer.pipeline.reconstructor import load_hand_model

    workers = args.workers if args.workers is not None else os.cpu_count() or 1
    if workers < 1 or (args.draw is not None and args.draw < 1):
        return _fail("check", "--workers and --draw must be at least 1", status=2)
    if args.draw and args.draw_file.suffix not in (".jpg", ".png"):
        return _fail("check", f"--draw_file must end in .jpg or .png, got {args.draw_file}", status=2)
    hand_model = load_hand_model(args.hand_model)
    sheet = ContactSheet(args.draw, hand_model) if args.draw else None
    findings = Findings(Statistics(training_filters(args.config)))
    files = files_to_check(args.paths)
    for file in _bar(files):
        if not file.is_file():
            findings.files.append(str(file))
            findings.add_problems(str(file), [Problem("missing", "there is no such file")])
        elif file.suffix == ".npz":
            check_npz(file, findings, img_folder=args.img_folder)
        else:
            show = sheet.add if sheet else None
            check_tar(file, findings, hand_model=hand_model, workers=workers, show=show)
    print(json.dumps(findings.to_dict(), indent=1) if args.json else "\n".join(findings.lines()))
    _draw(sheet, args)
    return 1 if findings.errors or (args.strict and findings.warnings) else 0


def _bar(files: list[Path]) -> Any:
    from tqdm import tqdm

    return tqdm(files, unit="file", disable=None if len(files) > 1 else True, dynamic_ncols=True)


def _draw(sheet: ContactSheet | None, args: argparse.Namespace) -> None:
    from hamer.results.writing import write_picture

    picture = sheet.picture() if sheet else None
    if picture is not None:
        print(f"drawn: {write_picture(args.draw_file, picture)}", file=sys.stderr)
    elif sheet is not None:
        print("nothing to draw: no sound hand in a tar", file=sys.stderr)


def run_pack(args: argparse.Namespace) -> int:
    """Pack; 0 if tars were written, 1 if nothing could be packed (or, --strict, not all), 2 on wrong usage."""
    from hamer.datasets.packing import DataSetCard, PackOptions, SourceOptions, pack, read_annotations
    from hamer.datasets.packing.mocap import MOCAP_NAME, write_mocap
    from hamer.datasets.packing.parts import part_of
    from hamer.datasets.packing.sources import kind_of

    if args.workers is not None and args.workers < 1:
        return _fail("pack", f"--workers must be at least 1, got {args.workers}", status=2)
    if args.img_folder is not None and not args.img_folder.is_dir():
        return _fail("pack", f"--img_folder must be a folder, but there is none at {args.img_folder}", status=2)
    source = SourceOptions(args.img_folder, args.split, args.mano, args.min_score, args.hand_model, args.side)
    options = PackOptions(
        args.shard_size, int(args.shard_megabytes * 1e6), args.box_factor, args.min_keypoints, args.max_side,
        tuple(args.leave_out), args.landmarks,
    )  # fmt: skip
    kind = kind_of(args.annotations) if args.format == "auto" else args.format
    pictures = read_annotations(args.annotations, kind, source)
    if args.part:
        pictures = part_of(pictures, args.part, args.validation_share)
    for note in source.notes:
        print(f"note: {note}", file=sys.stderr)
    origin = {name: str(getattr(source, name)) for name in ("split", "mano", "min_score", "hand_model", "side")}
    try:
        with _PackBar() as bar:
            shards = pack(
                pictures, args.out_folder, options, origin=origin, workers=args.workers, overwrite=args.overwrite,
                progress=bar,
            )  # fmt: skip
    except OSError as error:  # those of reading a picture only leave that picture out
        hint = "make room there and run" if is_disk_full(error) else "mend that and run"
        return _fail("pack", f"cannot write to {args.out_folder} ({error}); {hint} the same command again")
    card = DataSetCard.of(shards, name=args.name, source=args.source, licence=args.licence, kind=kind)
    if args.mocap:
        tars = [args.out_folder / shard["name"] for shard in card.shards]
        card.mocap = write_mocap(tars, args.out_folder / MOCAP_NAME)
    return _close(card, pictures, source, args)


class _PackBar:
    """The progress bar, with rate and remaining time, and above it a line for everything that is left out."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._tqdm = tqdm
        self._bar: Any = None

    def __call__(self, done: int, total: int, hands: int, skipped: list[tuple[str, str]]) -> None:
        if self._bar is None:
            self._bar = self._tqdm(total=total, initial=done, unit="picture", disable=None, dynamic_ncols=True)
        for picture, reason in skipped:
            self._tqdm.write(f"left out {picture}: {reason}", file=sys.stderr)
        self._bar.set_postfix(hands=hands, refresh=False)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> _PackBar:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()


def _close(card: DataSetCard, pictures: Pictures[Any], source: SourceOptions, args: argparse.Namespace) -> int:
    """Write the card, and say what came of it and what to do next."""
    if not card.hands:
        return _fail("pack", f"none of the {len(pictures)} annotated pictures could be packed; see the reasons above")
    card.write(args.out_folder)
    print(
        f"{args.out_folder}: {card.hands} hands ({card.left} left) of {card.pictures} pictures in {len(card.shards)} tars; "
        f"with 3D joints {card.with_keypoints_3d}, pose {card.with_pose}, betas {card.with_betas}; left out {card.left_out}"
    )
    print(f"\n{args.out_folder / 'dataset.yaml'} for a list of data sets:\n\n{card.yaml(args.out_folder)}")
    print("look it over:     hamer data check", args.out_folder, "--draw 24")
    if card.with_pose > card.with_betas:
        print(
            f"note: {card.with_pose - card.with_betas} poses have no betas, and count as unknown unless training is told "
            "DATASETS.POSES_BETAS_SIMULTANEOUS=false"
        )
    adversary = f"DATASETS.MOCAP={card.mocap_name}" if card.mocap else "DATASETS.MOCAP=null LOSS_WEIGHTS.ADVERSARIAL=0"
    print(
        f"train with it:    hamer train exp_name=NAME data=own DATASETS.FILE={args.out_folder / 'dataset.yaml'} {adversary}"
    )
    return 1 if args.strict and card.left_out else 0


def _fail(command: str, message: str, *, status: int = 1) -> int:
    print(f"hamer data {command}: {message}", file=sys.stderr)
    return status
