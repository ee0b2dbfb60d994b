"""`hamer <command>`: each command is a module with `add_parser(subparsers)` and `run(args) -> exit status`."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence

from hamer import __version__
from hamer.errors import HamerError

COMMANDS = ("demo", "fetch", "export", "convert", "data", "train", "distill", "eval", "score", "info")

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
    show_log(verbose=args.verbose)
    return guarded(getattr(args, "run", _first_steps), args, verbose=args.verbose)


def show_log(*, verbose: bool = False) -> None:
    """Log to stderr: our warnings and everybody's errors, or with `verbose` all that is worth knowing."""
    handler = logging.StreamHandler()
    if not verbose:
        handler.addFilter(_is_for_users)
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(name)s: %(message)s", handlers=[handler])


def _is_for_users(record: logging.LogRecord) -> bool:
    """Other packages' warnings are about their callers; what a command shows by a handler of its own is shown once."""
    if record.levelno >= logging.ERROR:
        return True
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger.name != "root":
        if logger.handlers:
            return False
        logger = logger.parent
    return record.name.split(".")[0] == "hamer"


def guarded(
    run: Callable[[argparse.Namespace], int], args: argparse.Namespace, *, program: str = "hamer", verbose: bool = False
) -> int:
    """`run(args)`, whose expected errors become a line on stderr and an exit status; `verbose` shows where they come from."""
    try:
        status = int(run(args))
        sys.stdout.flush()  # here, where a reader that is gone can be dealt with, and not while Python ends
        return status
    except BrokenPipeError:  # `hamer ... | head`: what is not read need not be written, nor complained about
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (HamerError, ValueError, OSError, MemoryError) as error:  # the errors that our own checks raise
        if verbose:
            raise
        print(f"{program}: {error or 'not enough memory'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted; run the same command again to continue", file=sys.stderr)
        return 130


def _first_steps(_args: argparse.Namespace) -> int:
    print(_FIRST_STEPS)
    return 0
