"""Results as files: meshes (OBJ, GLB, PLY), tables (JSON, NPZ) and a page that shows them in a browser.

Names are resolved on first use, so that importing this package does not load trimesh. Every writer takes the result
first and the path second, writes in one step (no half files), and returns the path.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.export.meshes import Frame as Frame
    from hamer.export.meshes import meshes_of as meshes_of
    from hamer.export.meshes import write_glb as write_glb
    from hamer.export.meshes import write_obj as write_obj
    from hamer.export.meshes import write_ply as write_ply
    from hamer.export.tables import SCHEMA as SCHEMA
    from hamer.export.tables import read_json as read_json
    from hamer.export.tables import read_npz as read_npz
    from hamer.export.tables import reconstruction_from_dict as reconstruction_from_dict
    from hamer.export.tables import reconstruction_to_dict as reconstruction_to_dict
    from hamer.export.tables import write_json as write_json
    from hamer.export.tables import write_npz as write_npz
    from hamer.export.viewer import write_html as write_html

_HOME = {
    "Frame": "meshes",
    "SCHEMA": "tables",
    "meshes_of": "meshes",
    "read_json": "tables",
    "read_npz": "tables",
    "reconstruction_from_dict": "tables",
    "reconstruction_to_dict": "tables",
    "write_glb": "meshes",
    "write_html": "viewer",
    "write_json": "tables",
    "write_npz": "tables",
    "write_obj": "meshes",
    "write_ply": "meshes",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
