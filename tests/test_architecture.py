"""The house keeps its order: imports run one way, and `import hamer` is silent and light."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hamer

PACKAGE = Path(hamer.__file__).parent
ROOMS = (
    "errors", "lazy", "compiling", "assets", "weights", "configs", "structures", "geometry", "hand_models",
    "checkpoints", "models", "crops", "detectors", "fitting", "rendering", "export", "pipeline", "results",
    "datasets", "evaluation", "training", "distributed", "web", "cli", "utils",
)  # fmt: skip
HEAVY = (
    "torch",
    "lightning",
    "pytorch_lightning",
    "hydra",
    "ray",
    "gradio",
    "ai_edge_litert",
    "trimesh",
    "numba",
    "cv2",
)


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(file: Path) -> set[str]:
    """The rooms that a file imports anywhere in it, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {parts[1] for n in names if len(parts := n.split(".")) > 1 and parts[0] == "hamer"} & set(ROOMS)


FILES = sorted(f for f in PACKAGE.rglob("*.py") if f.parent != PACKAGE or f.stem in ROOMS)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_run_one_way(file: Path) -> None:
    own = ROOMS.index(room_of(file))
    later = sorted(r for r in imported_rooms(file) if ROOMS.index(r) > own)
    assert not later, f"{room_of(file)} imports from {later}, which lie above it"


def test_every_folder_is_a_room() -> None:
    folders = {f.name for f in PACKAGE.iterdir() if f.is_dir() and f.name != "__pycache__"}
    assert folders <= set(ROOMS), f"folders without a place in the order: {folders - set(ROOMS)}"


def test_import_is_silent_and_light() -> None:
    script = (
        "import os, sys, warnings; before = dict(os.environ); warnings.simplefilter('error')\n"
        "import hamer, hamer.cli; hamer.__all__; dir(hamer); hamer.cli.build_parser()\n"
        "assert dict(os.environ) == before, 'the environment changed'\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert run.stdout.strip() == "[]", f"import hamer loaded {run.stdout}"


@pytest.mark.parametrize("name", [n for n in hamer.__all__ if n != "__version__"])
def test_public_names_resolve(name: str) -> None:
    assert getattr(hamer, name).__name__ == name


def test_nothing_unsafe_in_the_sources() -> None:
    forbidden = (
        "pickle.load(",
        "pickle.loads(",
        "os.system(",
        "shell=True",
        ".extractall(",
        "allow_pickle=True",
        "yaml.load(",
    )
    found = [
        f"{file.relative_to(PACKAGE)}: {word}"
        for file in PACKAGE.rglob("*.py")
        for word in forbidden
        if word in file.read_text(encoding="utf-8")
    ]
    assert not found
