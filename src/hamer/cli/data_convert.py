"""`hamer data convert`: official releases of data sets to the files that evaluation and training read."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.datasets.conversion import Converted, ConvertOptions

_SETS = ("freihand", "ho3d", "hint", "interhand", "rhd", "coco-wholebody", "onehand10k")
_SHOWN = 5  # reasons on the screen; the card has all
_DESCRIPTION = """\
Convert a data set from its official release, unpacked in SRC, into DST: npz files as the original's ImageDataset reads them,
with cameras, vertices and occlusion in further keys, datasets_eval.yaml that lists the sets, and a card a part
(NAME.conversion.json: counts, what was found, what was left out and why). docs/datasets.md has the layouts and the keys.

NAME             split by default   others                --split
  freihand       evaluation         training
  ho3d           evaluation         train                 v2 and v3, told by the pictures
  hint           TEST               TRAIN, VAL            or one folder, such as TEST_epick_img; three files a folder
  interhand      test               train, val
  rhd            evaluation         training
  coco-wholebody val                train                 SRC: the annotation file, or its folder
  onehand10k     test               train                 the same

Counts are compared with those published; a difference is an error unless --allow_incomplete. Pictures that cannot be used are
named, counted and left out, and the exit status is then 1. Finished parts are left as they are when the command runs again.

examples:
  hamer data convert freihand FreiHAND_pub_v2_eval converted
  hamer data convert ho3d HO3D_v3 converted --truth HO3D_v3_gt
  hamer data convert hint HInt_annotation converted
  hamer data convert freihand FreiHAND_pub_v2 packed --split training --format tar --mano MANO_RIGHT.pkl
"""


def add_parser(commands: Any) -> None:
    """Add `convert` to the commands of `hamer data`."""
    parser = commands.add_parser(
        "convert",
        help="official releases to evaluation files or training tars",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", choices=_SETS, help=", ".join(_SETS))
    parser.add_argument("source", metavar="SRC", type=Path, help="the unpacked release")
    parser.add_argument("out_folder", metavar="DST", type=Path, help="folder of the files to write")
    parser.add_argument("--split", help="part of the release (default: the one that is evaluated on)")
    parser.add_argument("--format", choices=["npz", "tar"], default="npz", help="what to write (default: npz)")
    parser.add_argument("--img_folder", type=Path, help="folder of the pictures, where they are not in their place")
    parser.add_argument("--mano", type=Path, help="MANO file or folder: tells how finger angles are meant")
    parser.add_argument("--truth", type=Path, help="HO-3D: folder of evaluation_xyz.json, evaluation_verts.json")
    parser.add_argument("--version", choices=["v2", "v3"], help="of HO-3D (default: told by its pictures)")
    parser.add_argument("--side", choices=["left", "right"], help="of hands whose side the release does not know")
    parser.add_argument(
        "--vertices", action=argparse.BooleanOptionalAction, help="write true vertices (default: evaluation splits)"
    )
    parser.add_argument(
        "--pictures", choices=["header", "decode", "none"], default="header",
        help="how closely pictures are looked at (default: there, and of the right size)",
    )  # fmt: skip
    parser.add_argument("--allow_incomplete", action="store_true", help="go on where the release is not complete")
    parser.add_argument("--overwrite", action="store_true", help="convert finished parts anew")
    parser.add_argument("--workers", type=int, help="threads (default: one a processor)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert; 0, or 1 with bad pictures (unless allowed) or a release that is not there, 2 on wrong usage."""
    from hamer.datasets.conversion import ConvertOptions, convert, convert_to_tars

    if args.workers is not None and args.workers < 1:
        return _fail(f"--workers must be at least 1, got {args.workers}", status=2)
    options = ConvertOptions(
        args.split, args.img_folder, args.mano, args.truth, args.side, args.version, args.vertices, args.pictures
    )
    more: dict[str, Any] = {
        "allow_incomplete": args.allow_incomplete, "overwrite": args.overwrite, "workers": args.workers
    }  # fmt: skip
    logging.getLogger("hamer.datasets.conversion").addHandler(handler := _Warnings())
    try:
        with PartBars() as bars:
            if args.format == "tar":
                cards = convert_to_tars(
                    args.name, args.source, args.out_folder, options, progress=bars, **more
                )  # fmt: skip
                return _tell_tars(cards, args)
            parts = convert(args.name, args.source, args.out_folder, options, progress=bars, **more)
    except ValueError as error:
        return _fail(str(error))
    finally:
        logging.getLogger("hamer.datasets.conversion").removeHandler(handler)
    return _tell(parts, options, args)


class _Warnings(logging.Handler):
    """The library's warnings as lines of the command."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            print(f"warning: {record.getMessage()}", file=sys.stderr)


class PartBars:
    """A progress bar a part, with rate, remaining time and the number of bad pictures."""

    def __init__(self, unit: str = "picture") -> None:
        from tqdm import tqdm

        self._tqdm, self._unit = tqdm, unit
        self._bar: Any = None
        self._part = ""

    def __call__(self, part: str, done: int, total: int, bad: int) -> None:
        if self._bar is None or part != self._part:
            self.close()
            self._part = part
            self._bar = self._tqdm(total=total, desc=part, unit=self._unit, disable=None, dynamic_ncols=True)
        if bad:
            self._bar.set_postfix(bad=bad, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> PartBars:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _tell(parts: Sequence[Converted], options: ConvertOptions, args: argparse.Namespace) -> int:
    for part in parts:
        state = "" if part.is_new else " (done before; --overwrite converts anew)"
        print(
            f"{part.release} {part.split}: {part.hands} hands ({part.left} left) of {part.pictures} pictures; with 3D joints "
            f"{part.with_3d}, pose {part.with_pose}, vertices {'all' if part.with_vertices else 'none'}{state}"
        )
        for line in (*part.counts, *part.notes):
            print(f"  {line}")
        _tell_left_out("bad pictures, left out", part.bad)
        _tell_left_out("hands without enough labels, left out", part.unlabelled)
        print(f"  {', '.join(part.sets)}: {', '.join(part.files)}")
    from hamer.datasets.conversion.listing import LISTING_NAME

    print(f"list of sets: {args.out_folder / LISTING_NAME}")
    bad = sum(len(part.bad) for part in parts)
    if bad and not args.allow_incomplete:
        return _fail(f"{bad} bad pictures were left out; scores without them cannot be compared with others'")
    return 0


def _tell_left_out(what: str, left_out: Sequence[tuple[str, str]]) -> None:
    if left_out:
        print(f"  {what}: {len(left_out)}", file=sys.stderr)
    for picture, reason in left_out[:_SHOWN]:
        print(f"    {picture}: {reason}", file=sys.stderr)
    if len(left_out) > _SHOWN:
        print(f"    ... {len(left_out) - _SHOWN} more in the .conversion.json", file=sys.stderr)


def _tell_tars(cards: Sequence[Any], args: argparse.Namespace) -> int:
    left_out = 0
    for card in cards:
        print(
            f"{card.name}: {card.hands} hands of {card.pictures} pictures in {len(card.shards)} tars; left out {card.left_out}"
        )
        left_out += card.left_out
    print(f"in {args.out_folder}; look them over with hamer data check")
    return 1 if left_out and not args.allow_incomplete else 0


def _fail(message: str, *, status: int = 1) -> int:
    print(f"hamer data convert: {message}", file=sys.stderr)
    return status
