"""`hamer fetch`: which files exist, which of them are here, and getting them."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from hamer import assets
from hamer.assets.manifest import GROUPS, ByHand, Wheel, expand
from hamer.cli.progress import DownloadBars
from hamer.errors import AssetError

_EXAMPLES = """\
examples:
  hamer fetch                                list what exists, what is here, and where
  hamer fetch hand_landmarker                the built-in hand detector's models (8 MB; `hamer demo` does it by itself)
  hamer fetch pose_landmarker                its models of bodies (9 MB; likewise)
  hamer fetch hamer_demo_data                the original's weights (6.0 GB; goes on where it stopped, if it stops)
  hamer fetch mano                           how to get MANO, which needs a login and a licence
  hamer fetch mano --from mano_v1_2.zip      take MANO_RIGHT.pkl out of the file from its site
  hamer fetch vitdet --to /big/disk          put it into another folder (then set HAMER_DATA=/big/disk)
  hamer fetch hamer_demo_data --dry-run      only say what would be done

environment:
  HAMER_CACHE     folder for downloads, instead of the platform's cache folder
  HAMER_DATA      folder of the original's files, in the layout of its _DATA
  HAMER_OFFLINE   1: never ask the network
"""


def add_parser(subparsers: Any) -> None:
    """Add `fetch` to the commands."""
    parser = subparsers.add_parser(
        "fetch",
        help="list, download and check weights and data",
        description="Lists, downloads and checks weights and data. Without a name: lists them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join([*assets.ASSETS, *GROUPS])}")
    parser.add_argument("--to", metavar="DIR", help="folder to put it into, instead of where hamer looks for it")
    parser.add_argument(
        "--from", dest="from_file", metavar="FILE", help="take it from a file on this machine, instead of the network"
    )
    parser.add_argument("--force", action="store_true", help="fetch it even if it is here")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--offline", action="store_true", help="never ask the network")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the assets, or fetch those that are named. One that fails does not keep the others from coming.

    Returns:
        0 if all that was asked for is here, 1 if something failed, 2 on wrong usage.
    """
    if not args.names and args.from_file is None:
        _list(args.to)
        return 0
    try:
        names = expand(args.names)
    except AssetError as error:
        return _wrong_usage(str(error))
    if args.from_file is not None and len(names) != 1:
        return _wrong_usage(f"--from: one file serves one asset, got {len(names)} names: {', '.join(names) or 'none'}.")
    if args.dry_run:
        for name in names:
            _plan(name, args)
        return 0
    return max(_fetch(name, args) for name in names)


def _fetch(name: str, args: argparse.Namespace) -> int:
    with DownloadBars() as bars:
        try:
            paths = assets.fetch(
                name,
                to=args.to,
                from_file=args.from_file,
                progress=bars,
                force=args.force,
                offline=args.offline,
            )
        except AssetError as error:
            bars.close()
            print(f"hamer fetch: {error}", file=sys.stderr)
            return 1
    print(f"{name}: here")
    for path in list(paths.values())[:8]:
        print(f"  {path}")
    if len(paths) > 8:
        print(f"  and {len(paths) - 8} more files")
    return 0


def _wrong_usage(message: str) -> int:
    print(f"hamer fetch: {message}", file=sys.stderr)
    return 2


def _list(to: str | None) -> None:
    parts = {part for names in GROUPS.values() if len(names) > 1 for part in names}
    for name in assets.ASSETS:
        if name not in parts:
            _list_one(assets.status(name, to=to))
    for group, names in GROUPS.items():
        here = [name for name in names if len(names) > 1 and assets.status(name, to=to).present]
        if len(names) > 1:
            _row(f"{len(here)}/{len(names)}" if here else "-", group, None, assets.get_asset(names[0]).title)
    print("\nGet one with `hamer fetch NAME`. Other names:")
    for group, names in GROUPS.items():
        print(f"  {group}: {', '.join(names)}")
    print(f"Downloads go to {assets.cache_dir()} (HAMER_CACHE moves it). Details: hamer fetch --help, docs/weights.md")


def _list_one(status: assets.Status) -> None:
    _row("here" if status.present else "-", status.asset.name, status.asset.download_size, status.asset.title)
    if status.present:
        _row("", "", None, f"in {status.folder}")


def _row(state: str, name: str, size: int | None, title: str) -> None:
    print(f"{state:5} {name:22} {_size(size) if size else '':>7}  {title}")


def _plan(name: str, args: argparse.Namespace) -> None:
    status = assets.status(name, to=args.to)
    if status.present and not args.force and args.from_file is None:
        print(f"{name}: here, in {status.folder}; nothing to do")
        return
    print(f"{name}: {status.asset.title}\n  licence: {status.asset.licence}\n  into {status.folder}")
    if args.from_file is not None:
        print(f"  from {args.from_file}")
        return
    for number, source in enumerate(status.asset.sources, 1):
        if isinstance(source, Wheel):
            print(f"  source {number}: the package {source.requirement}, with pip")
        elif isinstance(source, ByHand):
            print(f"  by hand, from {source.url}:\n{source.steps}")
        else:
            print(f"  source {number}: {source.url}")
    if status.asset.download_size:
        print(f"  size: {_size(status.asset.download_size)}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
