"""`ConfigNode`: a nested mapping with attribute access that can be frozen.

Callers of the original package treat its configuration as attributes (`cfg.MODEL.IMAGE_SIZE`), as a mapping
(`"BBOX_SHAPE" in cfg.MODEL`, `dict(cfg.MANO)`) and thaw it for a change (`cfg.defrost(); ...; cfg.freeze()`). This class
serves the three habits and nothing else: values are plain Python, so a node survives pickling, JSON and `**`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class ConfigNode(dict):
    """A dictionary whose keys are attributes too; nested mappings become nodes; `freeze` forbids changes.

    Raises:
        AttributeError: reading a key that does not exist, or changing a frozen node.
    """

    def __init__(self, values: Mapping[str, Any] | None = None, **more: Any) -> None:
        super().__init__()
        object.__setattr__(self, "_frozen", False)
        for key, value in {**(values or {}), **more}.items():
            self[key] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            known = ", ".join(map(str, self)) or "none"
            raise AttributeError(f"the configuration has no key {name!r} here; it has: {known}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __setitem__(self, key: str, value: Any) -> None:
        self._require_thawed(key)
        super().__setitem__(key, _as_node(value))

    def __delitem__(self, key: str) -> None:
        self._require_thawed(key)
        super().__delitem__(key)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove `key` and return its value (or `default`)."""
        self._require_thawed(key)
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the last pair."""
        self._require_thawed("popitem")
        return super().popitem()

    def clear(self) -> None:
        """Remove every key."""
        self._require_thawed("clear")
        super().clear()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of `key`, set to `default` first where it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *others: Any, **more: Any) -> None:
        """Set every pair of the other mapping; nested mappings replace what was there (`merge` joins them)."""
        for key, value in dict(*others, **more).items():
            self[key] = value

    def __ior__(self, other: Any) -> ConfigNode:  # type: ignore[misc]  # dict's own would bypass the freeze
        self.update(other)
        return self

    def _require_thawed(self, key: str) -> None:
        if self._frozen:
            raise AttributeError(f"cannot change {key!r}: the configuration is frozen; call defrost() first")

    def is_frozen(self) -> bool:
        """Whether changes are refused."""
        return bool(self._frozen)

    def freeze(self) -> None:
        """Refuse changes here and in every nested node."""
        self._set_frozen(True)

    def defrost(self) -> None:
        """Allow changes here and in every nested node."""
        self._set_frozen(False)

    def _set_frozen(self, frozen: bool) -> None:
        object.__setattr__(self, "_frozen", frozen)
        for value in self.values():
            for node in _nodes_in(value):
                node._set_frozen(frozen)

    def clone(self) -> ConfigNode:
        """An independent copy, as frozen as this one."""
        copy = ConfigNode(self.to_dict())
        copy._set_frozen(self.is_frozen())
        return copy

    copy = clone

    def to_dict(self) -> dict[str, Any]:
        """The same content as plain dictionaries and lists."""
        return {key: _as_plain(value) for key, value in self.items()}

    def merge(self, other: Mapping[str, Any]) -> None:
        """Join `other` into this node, key by key down the tree; `other` wins."""
        for key, value in other.items():
            mine = self.get(key)
            if isinstance(mine, ConfigNode) and isinstance(value, Mapping):
                mine.merge(value)
            else:
                self[key] = value

    def merge_from_other_cfg(self, other: Mapping[str, Any]) -> None:
        """`merge`, under the name that callers of yacs know."""
        self.merge(other)

    def merge_from_file(self, path: str | Path) -> None:
        """Join a yaml file into this node, interpolations resolved."""
        from hamer.configs.reader import read_yaml

        self.merge(read_yaml(path))

    def merge_from_list(self, pairs: Iterable[Any]) -> None:
        """Set dotted keys from a flat list: `["MODEL.IMAGE_SIZE", 256, ...]`."""
        items = list(pairs)
        if len(items) % 2:
            raise ValueError(
                f"merge_from_list takes key, value, ... pairs, got {len(items)} entries; add the missing value"
            )
        for key, value in zip(items[::2], items[1::2], strict=True):
            node = self
            *parents, last = str(key).split(".")
            for name in parents:
                node = node.setdefault(name, ConfigNode())
            node[last] = value

    def dump(self) -> str:
        """The content as yaml text."""
        import yaml  # OmegaConf brings it

        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> ConfigNode:
        return self.clone()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.to_dict(), self.is_frozen())

    def __repr__(self) -> str:
        return f"ConfigNode({self.to_dict()!r})"


def _rebuild(values: dict[str, Any], frozen: bool) -> ConfigNode:
    node = ConfigNode(values)
    node._set_frozen(frozen)
    return node


def _as_node(value: Any) -> Any:
    if isinstance(value, ConfigNode):
        return value
    if isinstance(value, Mapping):
        return ConfigNode(value)
    if type(value) in (list, tuple):
        return type(value)(_as_node(item) for item in value)
    return value


def _as_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [_as_plain(item) for item in value]
    return value


def _nodes_in(value: Any) -> Iterable[ConfigNode]:
    if isinstance(value, ConfigNode):
        yield value
    elif type(value) in (list, tuple):
        for item in value:
            yield from _nodes_in(item)
