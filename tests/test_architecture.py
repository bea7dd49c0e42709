"""Rules of the house that no linter holds: sizes, words, and what importing snnlab costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "snnlab").rglob("*.py"))
FOLDERS = (".ci", "conf", "docs", "examples", "hydra_plugins", "scripts", "snnlab", "tests")
TEXTS = {"", ".cfg", ".ipynb", ".json", ".md", ".py", ".sh", ".svg", ".toml", ".txt", ".yaml", ".yml"}

LINES_OF_A_FILE = 320
LINES_OF_A_FUNCTION = 55

# Written in two halves, or this file would not pass.
MACHINE_PATHS = ["/wo" + "rk/", "/ro" + "ot/", "/tmp" + "/w/"]
REGISTRY_HOSTS = ["pypi" + ".org", "python" + "hosted", "npm" + "js", "download.py" + "torch"]
CODE_BY_NAME = "_tar" + "get_"


def files_of_the_repository() -> list[Path]:
    """Every text file that is ours; what runs, tools and users leave beside them is not."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    return sorted(path for path in (*ROOT.iterdir(), *inside) if path.suffix in TEXTS and path.is_file())


def places(pattern: str, files: Iterable[Path]) -> list[str]:
    """Where the pattern occurs, as file:line."""
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_no_file_is_longer_than_a_reader_holds_in_mind() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert lengths
    assert not [f"{path}: {length} lines" for path, length in lengths.items() if length > LINES_OF_A_FILE]


def test_no_function_is_longer_than_a_screen() -> None:
    functions = [
        (f"{path}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]
    assert functions
    assert not [f"{name}: {length} lines" for name, length in functions if length > LINES_OF_A_FUNCTION]


@pytest.mark.parametrize("words", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["machine_paths", "registry_hosts"])
def test_no_file_depends_on_where_it_was_written(words: list[str]) -> None:
    assert not places("|".join(re.escape(word) for word in words), files_of_the_repository())


def test_no_file_names_code_to_run() -> None:
    # Hydra's own node, which is neither saved nor read back, needs it for launchers and the sweeper. Prose may name it.
    allowed = (ROOT / "tests", ROOT / "hydra_plugins", ROOT / "conf" / "hydra")
    checked = [
        path
        for path in files_of_the_repository()
        if path.suffix != ".md" and not any(path.is_relative_to(folder) for folder in allowed)
    ]
    assert not places(CODE_BY_NAME, checked)


def test_every_module_stands_on_a_floor() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    placed = set(re.findall(r"snnlab\.(\w+)", str(tools["importlinter"]["contracts"][0]["layers"])))
    modules = {path.relative_to(ROOT / "snnlab").parts[0].removesuffix(".py") for path in SOURCES}
    assert modules - placed == {"__init__"}


def test_importing_snnlab_imports_nothing_heavy() -> None:
    heavy = ("torch", "pytorch_lightning", "lightning_fabric", "torchmetrics", "hydra", "matplotlib", "wandb")
    program = f"import sys, snnlab; print(*[name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
