"""`hamer <command>`: each command is a module with `add_parser(subparsers)` and `run(args) -> exit status`."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from hamer import __version__
from hamer.errors import HamerError

COMMANDS = ("demo", "fetch", "export", "convert", "info")

_FIRST_STEPS = """\
hamer finds every hand in your photos and gives its 3D mesh.

First steps:
  hamer demo --img_folder photos --out_folder out     reconstruct every hand in a folder (or one picture)
  hamer info                                          what is installed, which weights are here
  hamer fetch                                         which weights exist and how to get them
  hamer COMMAND --help                                what a command does, with examples

In Python:
  import hamer
  result = hamer.HandReconstructor.from_pretrained()("photo.jpg")
  hamer.save(result, "out/")
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; a command's heavy imports happen when it runs."""
    parser = argparse.ArgumentParser(prog="hamer", description="Hand mesh recovery from photos.")
    parser.add_argument("--version", action="version", version=f"hamer {__version__}")
    parser.add_argument(
        "--verbose", action="store_true", help="show the log of what is done, and where errors come from"
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        importlib.import_module(f"hamer.cli.{command}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 well, 1 something failed, 2 wrong usage, 130 interrupted."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not hasattr(args, "run"):
        print(_FIRST_STEPS)
        return 0
    logging.basicConfig(level=logging.INFO if args.verbose else logging.ERROR, format="%(name)s: %(message)s")
    try:
        return int(args.run(args))
    except (HamerError, ValueError, OSError) as error:  # the errors that our own checks raise; --verbose shows where
        if args.verbose:
            raise
        print(f"hamer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nhamer: interrupted; run the same command again to continue", file=sys.stderr)
        return 130
