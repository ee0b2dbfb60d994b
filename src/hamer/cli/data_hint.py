"""`hamer data hint`: HInt's pictures completed (`prepare`), its files looked over (`verify`), its joints drawn (`draw`)."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamer.cli.data_convert import PartBars

if TYPE_CHECKING:
    from hamer.datasets.hint.verify import FolderReport

_SHOWN = 10
_DESCRIPTION = """\
HInt, hands in the wild with 2D joints and occlusion, as its authors release it: HInt_annotation_partial.zip, in which the
pictures of Ego4D are missing because of their licence.

  prepare   fills in Ego4D's frames from downloaded clips, exactly: an annotation's name says the clip and the frame
  verify    pairs, annotations, pictures, published numbers, and the md5 of the whole
  draw      joints over the pictures: seen ones filled, hidden ones hollow
"""
_PREPARE = """\
Write the missing pictures of HInt's Ego4D folders. CLIPS holds Ego4D's clips (version 1, `<clip>.mp4`), with subfolders. Frames
are counted from 0 in the order in which they are shown, whatever the order of decoding and however uneven their times.
Pictures that are there stay: interrupted, the same command goes on.

example:
  hamer data hint prepare HInt_annotation_partial ego4d_data/v1/clips
"""
_VERIFY = """\
Look over HInt's files: every jpg has a json and every json a jpg, annotations are whole and fit their pictures, folders have as
many files as were published. The exit status is 1 if anything is wrong.

--md5 computes the md5 of the archive that the authors make of the complete folder, and compares it with theirs. Deflate's
output depends on the version of zlib, and frames that other versions of FFmpeg wrote differ by grey levels: another md5 with all
else in order does not mean that files are wrong.

example:
  hamer data hint verify HInt_annotation --decode --md5
"""


def add_parser(commands: Any) -> None:
    """Add `hint` and its own commands to those of `hamer data`."""
    parser = commands.add_parser(
        "hint",
        help="HInt's pictures completed, verified and drawn",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own = parser.add_subparsers(title="commands", metavar="{prepare,verify,draw}")
    _add_prepare(own)
    _add_verify(own)
    _add_draw(own)
    parser.set_defaults(run=lambda _args: parser.print_help() or 2)


def _add(own: Any, name: str, help_text: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = own.add_parser(
        name, help=help_text, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", metavar="HINT", type=Path, help="HInt's folder, or one of its folders")
    return parser


def _add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", help="TRAIN, VAL, TEST, or one folder such as TEST_ego4d_img (default: all)")


def _add_prepare(own: Any) -> None:
    parser = _add(own, "prepare", "Ego4D's frames from downloaded clips", _PREPARE)
    parser.add_argument("clips", metavar="CLIPS", type=Path, help="folder of Ego4D's clips")
    _add_split(parser)
    parser.add_argument("--overwrite", action="store_true", help="write pictures that are there too")
    parser.add_argument("--workers", type=int, default=2, help="clips worked on at once (default: %(default)s)")
    parser.set_defaults(run=run_prepare)


def _add_verify(own: Any) -> None:
    parser = _add(own, "verify", "files and numbers looked over", _VERIFY)
    _add_split(parser)
    parser.add_argument("--decode", action="store_true", help="decode every picture")
    parser.add_argument("--md5", action="store_true", help="compare the md5 of the whole with the authors'")
    parser.add_argument("--json", action="store_true", help="print the report as json")
    parser.add_argument("--workers", type=int, default=2, help="threads (default: %(default)s)")
    parser.set_defaults(run=run_verify)


def _add_draw(own: Any) -> None:
    parser = _add(
        own, "draw", "joints over the pictures", "Draw HInt's annotations: seen joints filled, hidden ones hollow."
    )
    parser.add_argument("out_folder", metavar="OUT", type=Path, help="folder of the drawings")
    _add_split(parser)
    parser.add_argument(
        "--count", type=int, default=24, help="hands to draw, at random but the same ones (default: 24)"
    )
    parser.add_argument("--whole", action="store_true", help="the whole picture instead of the hand")
    parser.add_argument("--sheet", action="store_true", help="one sheet.jpg of all instead of a file a hand")
    parser.set_defaults(run=run_draw)


def run_prepare(args: argparse.Namespace) -> int:
    """Fill in; 0 if nothing is missing any more, 1 if something is, 2 on wrong usage."""
    from hamer.datasets.hint.prepare import prepare

    if args.workers < 1:
        return _fail("prepare", f"--workers must be at least 1, got {args.workers}", status=2)
    try:
        with PartBars() as bars:
            done = prepare(
                args.root, args.clips, split=args.split, overwrite=args.overwrite, workers=args.workers,
                progress=lambda settled, total, faults: bars("frames", settled, total, faults),
            )  # fmt: skip
    except (ValueError, OSError) as error:
        return _fail("prepare", str(error))
    print(f"{done.written} pictures written, {done.present} were there, {done.wanted - done.written} are missing")
    _tell([f"{what}: {reason}" for what, reason in done.faults])
    if done.uneven:
        print(
            f"frames of {len(done.uneven)} clips are not evenly spaced ({', '.join(done.uneven[:3])} ...). They were counted as "
            "they are; HInt's authors had FFmpeg make the rate constant, which counts others: look at drawings of them",
            file=sys.stderr,
        )
    return 1 if done.written < done.wanted else 0


def run_verify(args: argparse.Namespace) -> int:
    """Verify; 0 if all is in order, 1 if not, 2 on wrong usage."""
    from hamer.datasets.hint.archive import ORIGINAL_MD5, archive_md5
    from hamer.datasets.hint.verify import verify

    if args.workers < 1:
        return _fail("verify", f"--workers must be at least 1, got {args.workers}", status=2)
    try:
        with PartBars("sample") as bars:
            reports = verify(args.root, split=args.split, decode=args.decode, workers=args.workers, progress=bars)
            md5 = archive_md5(args.root, lambda done, total: bars("md5", done, total, 0)) if args.md5 else None
    except (ValueError, OSError) as error:
        return _fail("verify", str(error))
    if args.json:
        whole = {"md5": md5, "md5_of_the_authors": ORIGINAL_MD5} if md5 else {}
        print(json.dumps({"folders": [asdict(report) for report in reports], **whole}, indent=1))
    else:
        _tell_folders(reports)
        if md5 is not None:
            print(f"md5 of the whole: {md5}, {'as' if md5 == ORIGINAL_MD5 else 'not'} the authors' {ORIGINAL_MD5}")
    is_right = all(report.is_complete for report in reports) and md5 in (None, ORIGINAL_MD5)
    return 0 if is_right else 1


def run_draw(args: argparse.Namespace) -> int:
    """Draw; 0, or 1 where there is nothing to draw, 2 on wrong usage."""
    from hamer.datasets.hint.annotation import read_annotation
    from hamer.datasets.hint.drawing import draw_annotation, sheet
    from hamer.datasets.hint.folders import find_folders
    from hamer.pipeline.pictures import read_picture
    from hamer.results.writing import write_picture

    if args.count < 1 or (args.sheet and args.whole):
        return _fail("draw", "--count must be at least 1, and --sheet shows hands, not whole pictures", status=2)
    try:
        folders = find_folders(args.root, args.split)
        files = [f for folder in folders for f in folder.annotations() if f.with_suffix(".jpg").is_file()]
    except (ValueError, OSError) as error:
        return _fail("draw", str(error))
    args.out_folder.mkdir(parents=True, exist_ok=True)
    drawn, faults = [], []
    for file in sorted(random.Random(0).sample(files, min(args.count, len(files)))):
        try:
            picture = draw_annotation(
                read_picture(file.with_suffix(".jpg")).rgb, read_annotation(file), crop=not args.whole
            )
        except (ValueError, OSError) as error:
            faults.append(f"{file.name}: {error}")
            continue
        drawn.append(picture)
        if not args.sheet:
            write_picture(args.out_folder / f"{file.stem}_joints.jpg", picture)
    if drawn and args.sheet:
        write_picture(args.out_folder / "sheet.jpg", sheet(drawn))
    _tell(faults)
    print(f"{len(drawn)} hands drawn into {args.out_folder}")
    return 0 if drawn else _fail("draw", f"{args.root} has no picture with an annotation that can be drawn")


def _tell_folders(reports: Sequence[FolderReport]) -> None:
    for report in reports:
        state = (
            "complete" if report.is_complete else "NOT COMPLETE" if report.files != report.published else "NOT IN ORDER"
        )
        sizes = ", ".join(
            f"{size} ({count})" for size, count in sorted(report.sizes.items(), key=lambda item: -item[1])[:3]
        )
        print(
            f"{report.name}: {state}; files {report.files} of {report.published}, annotations {report.annotations} "
            f"({report.left} left), pictures {report.pictures}{f' of {sizes}' if sizes else ''}; joints hidden "
            f"{report.joints_occluded}, outside {report.joints_outside}"
        )
        _tell([f"  {file}: {fault}" for file, fault in report.problems])


def _tell(lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        print(line, file=sys.stderr)
    if len(lines) > _SHOWN:
        print(f"... and {len(lines) - _SHOWN} more", file=sys.stderr)


def _fail(command: str, message: str, *, status: int = 1) -> int:
    print(f"hamer data hint {command}: {message}", file=sys.stderr)
    return status
