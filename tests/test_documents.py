"""What README.md and docs/ show works as written: code compiles and finds its names, commands parse, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from hamer.cli import COMMANDS, build_parser

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[str]:
    found = [b for document in DOCUMENTS for b in BLOCK.findall(document.read_text(encoding="utf-8"))]
    return [text for name, text in found if name == language]


def commands() -> list[str]:
    """Every `hamer COMMAND ...` in code blocks, in quotes, and in the examples of --help."""
    texts = [document.read_text(encoding="utf-8") for document in DOCUMENTS]
    texts += [(ROOT / "src" / "hamer" / "cli" / f"{name}.py").read_text(encoding="utf-8") for name in COMMANDS]
    names = "|".join(COMMANDS)
    found = [m for text in texts for m in re.findall(rf"(?:^\s*|`)hamer (?:{names})\b[^`\n]*", text, re.MULTILINE)]
    # a column of explanation follows after three spaces; dots and brackets stand for more of the same
    return sorted({re.split(r" {3,}| \.\.\.", line.strip().strip("`"))[0] for line in found})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_commands_parse() -> None:
    lines = commands()
    assert len(lines) > 15
    mention = re.compile(r"hamer \w+( pack| check| convert| hint| synthesize)?( --help)?")  # nothing to parse
    for line in (line for line in lines if not mention.fullmatch(line)):
        words = shlex.split(line.replace("NAME", "mano"), comments=True)[1:]
        args = build_parser().parse_args(words)  # exits, and fails the test, for a flag that does not exist
        assert args.run


@pytest.mark.parametrize("code", blocks("python"), ids=lambda c: c.strip().splitlines()[0][:40])
def test_code_compiles_and_its_names_exist(code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        chain = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if chain.startswith("hamer.") and chain.replace(".", "").replace("_", "").isalnum():
            resolve(chain)


def resolve(chain: str) -> None:
    """Import the longest module that `chain` begins with, and look the rest up."""
    parts = chain.split(".")
    value = importlib.import_module(parts[0])
    for n, part in enumerate(parts[1:], 2):
        name = ".".join(parts[:n])
        value = getattr(value, part) if hasattr(value, part) else importlib.import_module(name)
