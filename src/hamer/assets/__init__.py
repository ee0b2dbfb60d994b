"""Where files come from: a manifest of addresses, hashes and licences; downloads that resume; the cache.

Standard library only, so that it works before anything heavy is installed. The command is `hamer fetch`.
"""

from hamer.assets.downloads import Patience, download
from hamer.assets.extraction import unpack_tar, unpack_zip
from hamer.assets.fetching import Status, body_models, download_models, fetch, landmark_models, path_of, status
from hamer.assets.files import Progress
from hamer.assets.manifest import ASSETS, Asset, get_asset
from hamer.assets.places import (
    BodyModels,
    LandmarkModels,
    cache_dir,
    find_original,
    is_offline,
    original_roots,
    require_original,
)

__all__ = [
    "ASSETS",
    "Asset",
    "BodyModels",
    "LandmarkModels",
    "Patience",
    "Progress",
    "Status",
    "body_models",
    "cache_dir",
    "download",
    "download_models",
    "fetch",
    "find_original",
    "get_asset",
    "is_offline",
    "landmark_models",
    "original_roots",
    "path_of",
    "require_original",
    "status",
    "unpack_tar",
    "unpack_zip",
]
