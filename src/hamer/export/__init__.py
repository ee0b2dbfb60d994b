"""Results as files: meshes (OBJ, GLB, PLY), tables (JSON, NPZ) and a page that shows them in a browser.

Names are resolved on first use, so that importing this package does not load trimesh. Every writer takes the result
first and the path second, writes in one step (no half files), and returns the path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

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

_HOMES = {
    "Frame": "hamer.export.meshes",
    "SCHEMA": "hamer.export.tables",
    "meshes_of": "hamer.export.meshes",
    "read_json": "hamer.export.tables",
    "read_npz": "hamer.export.tables",
    "reconstruction_from_dict": "hamer.export.tables",
    "reconstruction_to_dict": "hamer.export.tables",
    "write_glb": "hamer.export.meshes",
    "write_html": "hamer.export.viewer",
    "write_json": "hamer.export.tables",
    "write_npz": "hamer.export.tables",
    "write_obj": "hamer.export.meshes",
    "write_ply": "hamer.export.meshes",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
