"""The manifest as data: complete, well formed, and the same as what docs/weights.md says."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hamer.assets.extraction import safe_relative
from hamer.assets.manifest import ASSETS, GROUPS, ByHand, Wheel, expand, get_asset
from hamer.errors import AssetError

ALL = pytest.mark.parametrize("name", list(ASSETS))
DOCS = Path(__file__).resolve().parents[2] / "docs" / "weights.md"


@ALL
def test_entry_is_complete(name: str) -> None:
    asset = ASSETS[name]
    assert asset.name == name
    assert all((asset.title, asset.licence, asset.card, asset.sources))


@ALL
def test_addresses_are_encrypted(name: str) -> None:
    for source in ASSETS[name].sources:
        if not isinstance(source, Wheel):
            parts = urlsplit(source.url)
            assert parts.scheme == "https"
            assert parts.netloc


@ALL
def test_hashes_sizes_and_targets_are_well_formed(name: str) -> None:
    asset = ASSETS[name]
    for source in asset.sources:
        hashes = [member.sha256 for member in source.members] + [getattr(source, "sha256", None)]
        assert all(value is None or re.fullmatch("[0-9a-f]{64}", value) for value in hashes)
        assert all(member.size is None or member.size > 0 for member in source.members)
        # every source has to bring all of the asset
        assert {member.target for member in source.members} == set(asset.targets)
    for target in asset.targets:
        assert safe_relative(target, name).as_posix() == target


@ALL
def test_what_runs_by_default_is_hashed(name: str) -> None:
    """Networks that are loaded without a person having chosen the file have a hash in every source, or their archive has."""
    asset = ASSETS[name]
    if asset.place == "cache":
        for source in asset.sources:
            assert getattr(source, "sha256", None) or all(member.sha256 for member in source.members)


@ALL
def test_docs_tell_of_it(name: str) -> None:
    text = DOCS.read_text(encoding="utf-8")
    group = next((group for group, names in GROUPS.items() if len(names) > 1 and name in names), name)
    assert f"`{group}`" in text
    for source in ASSETS[name].sources:
        if isinstance(source, ByHand):
            assert source.url in text


def test_groups() -> None:
    parts = expand(["hamer_training_data", "hamer_training_data_part1", "mano"])
    assert len(parts) == 7
    assert parts[-1] == "mano"
    assert not set(GROUPS) & set(ASSETS)
    with pytest.raises(AssetError, match="got 'nothing'"):
        expand(["mano", "nothing"])
    with pytest.raises(AssetError, match="got ''"):
        get_asset("")
