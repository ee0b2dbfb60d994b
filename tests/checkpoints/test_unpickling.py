"""The unpickler: what it reads, and that a hostile or damaged file runs nothing and says what is wrong."""

from __future__ import annotations

import builtins
import collections
import io
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamer.checkpoints.unpickling import AllowListUnpickler, UnreadablePickleError, load_pickle
from hamer.errors import UnsafeFileError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Calls:
    """An object whose pickle calls `function(*arguments)` when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_content_survives(protocol: int) -> None:
    content = {
        "array": np.arange(12.0).reshape(3, 4),
        "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "integers": np.array([1, 2**40]),
        "big_endian": np.array([1.5, 2.5], ">f4"),
        "texts": np.array(["a", "bc"]),
        "records": np.array([(1, 2.5, [1, 2])], dtype=[("a", "<i4"), ("b", "<f8"), ("c", "u1", 2)]),
        "scalar": np.float64(2.5),
        "nested": [(1, "two", b"three"), {"set": {1, 2}}, None, True, 2.5, 1 + 2j, slice(1, 2)],
        "ordered": collections.OrderedDict(a=1),
        "objects": np.array([None, "text", np.arange(2)], dtype=object),
        "type": np.dtype("<f4"),
    }
    back = load_pickle(pickle.dumps(content, protocol))
    assert back.keys() == content.keys()
    for name in ("array", "fortran", "integers", "big_endian", "texts", "records"):
        assert type(back[name]) is np.ndarray
        np.testing.assert_array_equal(back[name], content[name])
        assert back[name].dtype.newbyteorder("=") == content[name].dtype.newbyteorder("=")
    assert back["scalar"] == 2.5
    assert back["nested"] == content["nested"]
    assert back["ordered"] == content["ordered"]
    assert back["type"] == content["type"]
    assert back["objects"][1] == "text"
    assert type(back["objects"][2]) is np.ndarray


def test_sources(tmp_path: Path) -> None:
    data = pickle.dumps([1, 2])
    (tmp_path / "file.pkl").write_bytes(data)
    assert load_pickle(data) == [1, 2]
    assert load_pickle(io.BytesIO(data)) == [1, 2]
    assert load_pickle(tmp_path / "file.pkl") == load_pickle(str(tmp_path / "file.pkl")) == [1, 2]
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / "absent.pkl")


HOSTILE = {
    "os.system": (Calls(os.system, "touch {mark}"), "system"),
    "eval": (Calls(builtins.eval, "open('{mark}', 'w')"), "eval"),
    "exec": (Calls(builtins.exec, "open('{mark}', 'w')"), "exec"),
    "open": (Calls(builtins.open, "{mark}", "w"), "open"),
    "import": (Calls(builtins.__import__, "os"), "__import__"),
    "getattr": (Calls(builtins.getattr, "x", "__class__"), "getattr"),
    "subprocess": (Calls(subprocess.Popen, ["touch", "{mark}"]), "Popen"),
    "nested": ({"a": [1, (2, {"deep": Calls(os.system, "touch {mark}")})]}, "system"),
    "as argument": (Calls(list, [Calls(os.system, "touch {mark}")]), "system"),
    "numpy.load": (Calls(np.load, "{mark}"), "numpy"),
    "numpy.save": (Calls(np.save, "{mark}", np.zeros(1)), "numpy"),
    "in an object array": (np.array([Calls(os.system, "touch {mark}"), None], dtype=object), "system"),
}


def _fill(value: Any, mark: str) -> Any:
    """`value` with {mark} in its arguments replaced by the path whose appearance would prove that code ran."""
    if isinstance(value, Calls):
        return Calls(value.function, *(_fill(argument, mark) for argument in value.arguments))
    if isinstance(value, str):
        return value.replace("{mark}", mark)
    if isinstance(value, dict):
        return {key: _fill(item, mark) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_fill(item, mark) for item in value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return np.array([_fill(item, mark) for item in value], dtype=object)
    return value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_by_name(name: str, protocol: int, tmp_path: Path) -> None:
    content, culprit = HOSTILE[name]
    mark = tmp_path / "code_ran"
    data = pickle.dumps(_fill(content, str(mark)), protocol)
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(data)
    with pytest.raises(UnsafeFileError, match=culprit) as caught:
        load_pickle(path)
    assert str(path) in str(caught.value)
    assert not mark.exists()


def _global(module: str, name: str) -> bytes:
    """Protocol 4 instructions that push `module.name`; the name may be dotted, which means attributes of attributes."""
    texts = (b"\x8c" + struct.pack("B", len(t)) + t.encode() for t in (module, name))
    return b"".join(texts) + b"\x93"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "ndarray.tofile"),
        ("numpy", "dtype.__class__"),
        ("builtins", "list.__class__.__base__.__subclasses__"),
        ("builtins", "dict.__init__.__globals__"),
        ("collections", "OrderedDict.fromkeys.__self__"),
        ("collections", "abc.sys.modules"),
        ("hamer.checkpoints.unpickling", "load_pickle"),
        ("numpy.core.multiarray", "os.system"),
        ("scipy.sparse.csc", "csc_matrix.__init__"),
        ("chumpy.ch", "os.system"),
        ("chumpy.reordering", "weakref"),
        ("", "os"),
        ("os", ""),
    ],
)
def test_attribute_chains_are_refused(module: str, name: str) -> None:
    with pytest.raises(UnsafeFileError, match=f"asks for {module}.{name}"):
        load_pickle(b"\x80\x04" + _global(module, name) + b".")


def test_unlisted_modules_are_not_even_imported() -> None:
    assert "antigravity" not in sys.modules
    with pytest.raises(UnsafeFileError, match=r"antigravity\.fly"):
        load_pickle(b"cantigravity\nfly\n.")
    assert "antigravity" not in sys.modules


def test_state_of_an_object_cannot_replace_its_methods() -> None:
    """A chumpy object whose state names `array`, `__class__`, `__setstate__` stays data."""
    state = {"x": np.ones(2), "array": "mine", "__class__": "mine", "term": "mine"}
    data = b"\x80\x02" + b"cchumpy.ch\nCh\n)\x81" + pickle.dumps(state, 2)[2:-1] + b"b."
    np.testing.assert_array_equal(load_pickle(data), np.ones(2))


def _forged_array(spec: str, state: tuple[Any, ...], content: bytes) -> bytes:
    """A pickle of an array of two numbers whose data type claims `state`."""
    dtype = f"cnumpy\ndtype\n(S'{spec}'\nI0\nI1\ntR".encode() + pickle.dumps(state, 0)[:-1].replace(b"p0\n", b"") + b"b"
    shell = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return shell + b"(I1\n(I2\nt" + dtype + b"I00\n" + pickle.dumps(content.decode(), 0)[:-1] + b"tb."


def test_forged_flags_of_a_data_type_have_no_effect() -> None:
    """Flags 63 claim that the numbers are objects, which makes NumPy follow them as pointers."""
    array = load_pickle(_forged_array("i8", (3, "<", None, None, None, -1, -1, 63), b"a" * 16))
    assert not array.dtype.hasobject
    np.testing.assert_array_equal(array.repeat(2), np.frombuffer(b"a" * 32, np.int64))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02cchumpy.ch\nCh\n)\x81}b.",  # without its array
        b"\x80\x02cchumpy.ch\nCh\n)\x81K\x01b.",  # state that is no dict
        b"\x80\x02cchumpy.ch\nCh\nK\x01\x85R.",  # called with an argument
        b"\x80\x02ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nM\xff\xff\x85U\x01btR.",  # a large shell
        b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x74R.",
        # An object array handed to NumPy as raw bytes would be read as pointers.
        b"\x80\x02cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\x01OI0\nI1\ntRU\x08aaaaaaaatR.",
        b"\x80\x02cnumpy\nndarray\nK\x05\x85R.",  # the class called by the file
        b"\x80\x02cnumpy\nndarray\nK\x05\x85\x81.",
        _forged_array("O8", (3, "|", None, None, None, -1, -1, 63), b"a" * 16),
        _forged_array("f8", (3, "<", None, None, None, -1, -1, 0), b"a" * 17),
        _forged_array("M8[ns]", (3, "<", None, None, None, -1, -1, 0), b"a" * 16),
        b"\x80\x02K\x01r\xff\xff\xff\xff.",  # a memo of 32 GB
        b"\x80\x02}(U\x01aK\x01",
        b"no pickle at all",
        b"",
        b"\x80\xff.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    ],
)
def test_nonsense_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadablePickleError, match="fetch or copy it again"):
        load_pickle(data)


def test_an_object_that_contains_itself_is_unreadable() -> None:
    data = b"\x80\x02cchumpy.ch\nCh\n)\x81q\x00}U\x01xh\x00sb."
    with pytest.raises(UnreadablePickleError, match="contains itself"):
        load_pickle(data)


def test_persistent_ids_are_refused() -> None:
    with pytest.raises(UnsafeFileError, match="persistent id"):
        load_pickle(b"\x80\x02X\x01\x00\x00\x00aQ.")


def test_every_cut_of_a_file_is_unreadable() -> None:
    data = pickle.dumps({"a": np.arange(5.0), "b": ["text", 1.5]}, 2)
    for length in range(len(data)):
        with pytest.raises(UnreadablePickleError):
            load_pickle(data[:length])


def test_damaged_bytes_never_run_code_nor_escape() -> None:
    data = bytearray(pickle.dumps({"a": np.arange(5.0), "b": ["text", 1.5]}, 2))
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 3):
            damaged[position] = rng.integers(0, 256)
        try:
            load_pickle(bytes(damaged))
        except (UnreadablePickleError, UnsafeFileError):
            continue


def test_allow_adds_names() -> None:
    data = b"\x80\x02cmypackage.config\nBox\n)\x81}X\x01\x00\x00\x00aK\x01sb."

    class Box:
        a: int

    with pytest.raises(UnsafeFileError, match=r"mypackage\.config\.Box"):
        load_pickle(data)
    assert load_pickle(data, allow={"mypackage.config.Box": Box}).a == 1
    with pytest.raises(UnsafeFileError):
        AllowListUnpickler(io.BytesIO(data)).load()


def _chumpy(class_name: str, state: dict[str, bytes]) -> bytes:
    """Instructions for a chumpy object; the values of `state` are instructions themselves."""
    items = b"".join(b"X" + struct.pack("<I", len(k)) + k.encode() + v for k, v in state.items())
    module, name = class_name.rsplit(".", 1)
    return f"c{module}\n{name}\n".encode() + b")\x81}(" + items + b"ub"


def _value(value: Any) -> bytes:
    return pickle.dumps(value, 2)[2:-1].replace(b"q\x00", b"")


SOURCE = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("name", "terms", "expected"),
    [
        ("Select", {"idxs": np.array([5, 1, 0, 23]), "preferred_shape": (2, 2)}, SOURCE.ravel()[[[5, 1], [0, 23]]]),
        ("Select", {"idxs": np.array([5, 1])}, SOURCE.ravel()[[5, 1]]),
        ("Reshape", {"newshape": (4, 6)}, SOURCE.reshape(4, 6)),
        ("transpose", {"axes": (2, 0, 1)}, SOURCE.transpose(2, 0, 1)),
        ("transpose", {}, SOURCE.T),
        ("rollaxis", {"axis": 2}, np.rollaxis(SOURCE, 2)),
        ("swapaxes", {"axis1": 0, "axis2": 1}, SOURCE.swapaxes(0, 1)),
        ("Roll", {"shift": 1, "axis": 2}, np.roll(SOURCE, 1, 2)),
        ("Rot90", {"k": 1}, np.rot90(SOURCE, 1)),
        ("Sort", {"axis": 0}, np.sort(SOURCE, 0)),
        ("Tile", {"reps": (2, 1, 1)}, np.tile(SOURCE, (2, 1, 1))),
        ("Repeat", {"repeats": 2, "axis": 1}, SOURCE.repeat(2, 1)),
    ],
)
def test_chumpy_operations(name: str, terms: dict[str, Any], expected: np.ndarray) -> None:
    leaf = _chumpy("chumpy.ch.Ch", {"x": _value(SOURCE)})
    # Memo numbers would clash between the parts glued together here, so arrays are given without memo where possible.
    state = {"a": leaf, **{key: _value(value) for key, value in terms.items()}}
    result = load_pickle(b"\x80\x02" + _chumpy(f"chumpy.reordering.{name}", state) + b".")
    np.testing.assert_array_equal(result, expected)


def test_chumpy_concatenation() -> None:
    parts = {"m0": _chumpy("chumpy.ch.Ch", {"x": _value(SOURCE)}), "m1": _chumpy("chumpy.ch.Ch", {"x": _value(SOURCE)})}
    state = {"dterms": _value(["m0", "m1"]), "axis": _value(1), **parts}
    result = load_pickle(b"\x80\x02" + _chumpy("chumpy.reordering.Concatenate", state) + b".")
    np.testing.assert_array_equal(result, np.concatenate([SOURCE, SOURCE], 1))


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("Tile", {"reps": (10**6, 10**6)}),
        ("Repeat", {"repeats": 10**12}),
        ("DiagFlat", {"k": 10**9}),
        ("Diag", {"k": 10**9}),
    ],
)
def test_chumpy_operations_cannot_fill_the_memory(name: str, terms: dict[str, Any]) -> None:
    leaf = _chumpy("chumpy.ch.Ch", {"x": _value(np.ones(8))})
    data = _chumpy(f"chumpy.reordering.{name}", {"a": leaf, **{key: _value(value) for key, value in terms.items()}})
    with pytest.raises(UnreadablePickleError, match="larger than anything"):
        load_pickle(b"\x80\x02" + data + b".")


def test_unknown_chumpy_operation_is_named() -> None:
    with pytest.raises(UnsafeFileError, match=r"chumpy\.ch\.MatVecMult"):
        load_pickle(b"\x80\x02cchumpy.ch\nMatVecMult\n)\x81}b.")


DENSE = np.array([[0.0, 2, 0], [3, 0, 0]])
SPARSE = {
    "csc": {"indptr": np.array([0, 1, 2, 2]), "indices": np.array([1, 0]), "data": np.array([3.0, 2])},
    "csr": {"indptr": np.array([0, 1, 2]), "indices": np.array([1, 0]), "data": np.array([2.0, 3])},
    "coo": {"row": np.array([0, 1]), "col": np.array([1, 0]), "data": np.array([2.0, 3])},
}


@pytest.mark.parametrize("module", ["scipy.sparse.{0}", "scipy.sparse._{0}"])
@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_matrices_become_arrays(kind: str, module: str) -> None:
    state = {"_shape": _value((2, 3)), **{key: _value(value) for key, value in SPARSE[kind].items()}}
    data = b"\x80\x02" + _chumpy(f"{module.format(kind)}.{kind}_matrix", state) + b"."
    np.testing.assert_array_equal(load_pickle(data), DENSE)


def test_sparse_matrix_of_an_old_protocol() -> None:
    """Protocols 0 and 1 make objects through copy_reg, as some copies of MANO's file do."""
    state = {"_shape": (2, 3), **SPARSE["csc"]}
    data = (
        b"ccopy_reg\n_reconstructor\n(cscipy.sparse.csc\ncsc_matrix\nc__builtin__\nobject\nNtR" + _value(state) + b"b."
    )
    np.testing.assert_array_equal(load_pickle(data), DENSE)


@pytest.mark.parametrize(
    "change",
    [
        {"_shape": (10**6, 10**6)},
        {"_shape": (2, 4)},
        {"indices": np.array([1, 7])},
        {"indptr": np.array([0, 1, 9, 9])},
        {"indptr": np.array([0, -5, 2, 2])},
    ],
)
def test_inconsistent_sparse_matrices_are_unreadable(change: dict[str, Any]) -> None:
    state = {key: _value(value) for key, value in {"_shape": (2, 3), **SPARSE["csc"], **change}.items()}
    with pytest.raises(UnreadablePickleError):
        load_pickle(b"\x80\x02" + _chumpy("scipy.sparse.csc.csc_matrix", state) + b".")


def test_reading_mano_needs_neither_scipy_nor_chumpy(golden: Path) -> None:
    program = (
        "import sys; sys.modules.update(scipy=None, chumpy=None)\n"
        "from hamer.checkpoints.hand_files import read_mano\n"
        f"assert read_mano({str(golden / 'hamer/mano_chumpy')!r}).shapedirs.shape == (778, 3, 10)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
