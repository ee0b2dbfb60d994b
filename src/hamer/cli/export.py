"""`hamer export`: a result in another format."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

_HELP = """\
Turn the NAME.npz of a run into a mesh file or a page; the suffix of the target says which.

  .obj .ply .glb    meshes of all hands, or of one with --hand
  .html             a 3D view that opens in any browser, offline
  .json             the table without vertices

examples:
  hamer export out/photo.npz scene.glb
  hamer export out/photo.npz left.obj --hand 1 --frame opencv
"""
_SUFFIXES = (".obj", ".ply", ".glb", ".html", ".json")


def add_parser(subparsers: Any) -> None:
    """Add `export` to the command line."""
    parser = subparsers.add_parser(
        "export",
        help="a result as obj, ply, glb, html or json",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="NAME.npz that hamer demo wrote")
    parser.add_argument("target", help="file to write")
    parser.add_argument("--hand", type=int, help="only the hand of this id (meshes only)")
    parser.add_argument(
        "--frame", default="viewer", choices=["viewer", "opencv"], help="axes of meshes (default: viewer, y up)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, write, say where."""
    from hamer import export

    suffix = Path(args.target).suffix.lower()
    if suffix not in _SUFFIXES:
        print(f"hamer export: target must end in one of {', '.join(_SUFFIXES)}, got {args.target}", file=sys.stderr)
        return 2
    if args.hand is not None and suffix in (".html", ".json"):
        print(f"hamer export: --hand is for meshes (.obj, .ply, .glb), got {args.target}", file=sys.stderr)
        return 2
    result = export.read_npz(args.source)
    if suffix in (".html", ".json"):
        path = (export.write_html if suffix == ".html" else export.write_json)(result, args.target)
    else:
        write = {".obj": export.write_obj, ".ply": export.write_ply, ".glb": export.write_glb}[suffix]
        path = write(result, args.target, hand_id=args.hand, frame=args.frame)
    print(path)
    return 0
