"""`hamer data synthesize`: pictures of hands made by the package itself, with exact truth, as training tars."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamer.assets.files import is_disk_full
from hamer.cli.flag_checks import below_one

if TYPE_CHECKING:
    from hamer.datasets.packing.journal import Shard
    from hamer.datasets.synthetic.shards import Recipe

_DESCRIPTION = """\
Make pictures of hands and write them as training tars: posed, lit and drawn by the package itself, so that joints, pose,
shape, parts and what is hidden are known exactly. No weights, no data set and no GPU are needed.

A picture shows one annotated hand, right or left, with its arm, before a made-up background or one of your own pictures
(--backgrounds: any folder of photos without hands; some hundred are a good start). Another hand, a held thing, something
in front, somebody behind, and a camera's faults (noise, blur, JPEG) come and go by chance. Beside NNNNNN.jpg and
NNNNNN.data.pyd there is NNNNNN.parts.png: 0 no hand, 1 to 16 the hand's parts (1 + MANO's joint), 17 its arm, 18 another
hand.

With the landmark model (fetched once) the annotation also says what it sees, `landmarks_2d` and `landmarks_3d`, for
networks that are given its points; --no_landmarks leaves that out and is 1.7 times as fast.

Picture number I of seed S is always the same, whatever --count and --processes. Interrupted, the same command continues; a
larger --count adds to the folder. Count on some 16 pictures a second and core (27 with --no_landmarks), and 20 MB for a thousand.

examples:
  hamer data synthesize made --count 200 --sheet sheet.jpg
  hamer data synthesize made/train --count 100000 --backgrounds photos --processes 8
  hamer data synthesize made/val --count 2000 --seed 1 --backgrounds other_photos --name MADE-VAL
  hamer data synthesize easy --count 20000 --effects 0.3 --no_landmarks
"""
_SHEET_COUNT = 24


def add_parser(commands: Any) -> None:
    """Add `synthesize` to the commands of `hamer data`."""
    from hamer.datasets.synthetic.options import SyntheticOptions

    standard = SyntheticOptions()
    parser = commands.add_parser(
        "synthesize",
        help="made pictures of hands with exact truth, as training tars",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out_folder", metavar="OUT", type=Path, help="folder of the tars")
    what = parser.add_argument_group("what to make")
    what.add_argument("--count", type=int, default=1000, help="pictures in the folder when done (default: %(default)s)")
    what.add_argument("--size", type=int, default=256, metavar="PX", help="side of a picture (default: %(default)s)")
    what.add_argument("--seed", type=int, default=0, help="another seed gives other pictures (default: %(default)s)")
    what.add_argument(
        "--first_index", "--first-index", type=int, default=0, help="number of the first picture (default: %(default)s)"
    )
    what.add_argument(
        "--hand",
        default="open",
        metavar="HAND",
        help="open, mano, or a MANO file: the hand that is drawn (default: open)",
    )
    what.add_argument("--backgrounds", type=Path, metavar="FOLDER", help="pictures to put behind the hands")
    what.add_argument(
        "--background_share", "--background-share", type=float, default=standard.background_share, metavar="SHARE",
        help="of the hands that get one of them, 0 to 1; the others' is painted (default: %(default)s)",
    )  # fmt: skip
    what.add_argument(
        "--held_object", "--held-object", type=float, default=standard.held_object, metavar="SHARE",
        help="of the hands that hold something if their pose leaves room for it (default: %(default)s)",
    )  # fmt: skip
    what.add_argument(
        "--skin_colored", "--skin-colored", type=float, default=standard.skin_colored, metavar="SHARE",
        help="of the backgrounds, and of things held, that get the hand's own colours (default: %(default)s)",
    )  # fmt: skip
    what.add_argument(
        "--effects",
        type=float,
        default=standard.effects,
        help="strength of a camera's faults, 0 to 1 (default: %(default)s)",
    )
    what.add_argument("--no_landmarks", "--no-landmarks", action="store_true", help="do not run the landmark model")
    out = parser.add_argument_group("how to write")
    out.add_argument("--processes", type=int, default=1, help="that make pictures, a core each (default: %(default)s)")
    out.add_argument(
        "--shard_size", "--shard-size", type=int, default=1000, help="pictures a tar (default: %(default)s)"
    )
    out.add_argument("--quality", type=int, default=92, help="of the JPEGs, 50 to 100 (default: %(default)s)")
    out.add_argument("--name", default="MADE-TRAIN", help="the set's name in configurations (default: %(default)s)")
    out.add_argument("--overwrite", action="store_true", help="begin anew in a folder that holds other tars")
    out.add_argument(
        "--sheet", type=Path, metavar="FILE", help=f"write a sheet (.jpg, .png) of {_SHEET_COUNT} pictures with joints"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make and write; 0, 1 where that failed, 2 on wrong usage."""
    from hamer.datasets.synthetic.options import SyntheticOptions
    from hamer.datasets.synthetic.shards import Recipe, write_shards

    wrong = below_one(args, "count", "shard_size", "processes")
    if wrong:
        return _fail(wrong, status=2)
    if args.sheet is not None and args.sheet.suffix not in (".jpg", ".png"):
        return _fail(f"--sheet must end in .jpg or .png, got {args.sheet}", status=2)
    try:
        options = SyntheticOptions(
            width=args.size, height=args.size, effects=args.effects, background_share=args.background_share,
            held_object=args.held_object, skin_colored=args.skin_colored,
        )  # fmt: skip
        recipe = Recipe(
            options, args.seed, args.first_index, args.hand, args.backgrounds, not args.no_landmarks, args.quality
        )
    except ValueError as error:
        return _fail(str(error), status=2)
    try:
        with _Bar() as bar:
            shards = write_shards(
                recipe, args.count, args.out_folder, shard_size=args.shard_size, processes=args.processes,
                overwrite=args.overwrite, progress=bar,
            )  # fmt: skip
    except OSError as error:
        if not is_disk_full(error):  # files that were to be read; their errors say what to do
            return _fail(str(error))
        return _fail(f"cannot write to {args.out_folder} ({error}); make room there and run the same command again")
    except ValueError as error:
        return _fail(str(error))
    _close(shards, args)
    if args.sheet is not None:
        _write_sheet(recipe, args.count, args.sheet)
    return 0


class _Bar:
    """The progress bar; its rate counts what this run made."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, unit="picture", disable=None, dynamic_ncols=True)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()


def _write_sheet(recipe: Recipe, count: int, path: Path) -> None:
    """A sheet of pictures spread evenly over those that were made, as they were made."""
    import numpy as np

    from hamer.datasets.synthetic.sheets import sheet
    from hamer.results.writing import write_picture

    maker = recipe.maker()
    numbers = np.unique(np.linspace(0, count - 1, min(count, _SHEET_COUNT)).astype(int))
    picture = sheet(maker.batch([recipe.first_index + int(number) for number in numbers]))
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"sheet: {write_picture(path, picture)}", file=sys.stderr)


def _close(shards: list[Shard], args: argparse.Namespace) -> None:
    """Write the card, and say what came of it and what to do next."""
    from hamer.datasets.packing.card import DataSetCard

    card = DataSetCard.of(
        shards, name=args.name, source=f"hamer data synthesize, seed {args.seed}, {Path(args.hand).name} hand",
        licence="made by the package; pictures of --backgrounds keep their own terms", kind="made",
    )  # fmt: skip
    card.write(args.out_folder)
    size = sum(shard.size for shard in shards)
    print(
        f"{args.out_folder}: {card.pictures} pictures ({card.left} left hands) in {len(card.shards)} tars, {size / 1e6:.0f} MB"
    )
    print(f"look it over:     hamer data check {args.out_folder} --draw 24")
    print(
        f"train with it:    hamer train exp_name=NAME data=own DATASETS.FILE={args.out_folder / 'dataset.yaml'} "
        "DATASETS.MOCAP=null LOSS_WEIGHTS.ADVERSARIAL=0"
    )


def _fail(message: str, *, status: int = 1) -> int:
    print(f"hamer data synthesize: {message}", file=sys.stderr)
    return status
