"""The arguments of Lightning's Trainer, read from its source: an import would take longer than telling a typo."""

from __future__ import annotations

import ast
import typing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from snnlab.errors import WrongOption
from snnlab.options import Option

OURS = {
    "logger": "use logger=csv",
    "callbacks": "use callback=early_stopping",
    "plugins": "its own one writes checkpoints whole",
    "default_root_dir": "use output_dir=…",
    "enable_checkpointing": "snnlab saves the best and the last epoch of every run",
    "model_registry": "snnlab sends no weights anywhere",
    "use_distributed_sampler": "snnlab's loader deals samples to processes itself",
}
"""Arguments that a run sets itself, and what to use instead."""


class _Names(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        return getattr(typing, name, Any)  # Lightning's own classes: any value, which Lightning then checks


@cache
def lightning_options() -> dict[str, Option]:
    """The Trainer's arguments as options, without those that a run sets itself."""
    tree = ast.parse(_source().read_text(encoding="utf-8"))
    trainer = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Trainer")
    init = next(node for node in trainer.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    helps = _helps(ast.get_docstring(init) or "")
    known = {}
    for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
        if argument.arg not in OURS and argument.annotation is not None and default is not None:
            known[argument.arg] = Option(
                argument.arg, _type(argument.annotation), ast.literal_eval(default), helps.get(argument.arg, "")
            )
    return known


def _source() -> Path:
    spec = find_spec("pytorch_lightning")
    if spec is None or not spec.submodule_search_locations:
        raise WrongOption("trainer: pytorch-lightning is not installed.")
    return Path(spec.submodule_search_locations[0]) / "trainer" / "trainer.py"


def _type(annotation: ast.expr) -> Any:
    builtins = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "dict": dict, "None": None}
    return eval(compile(ast.Expression(annotation), "Trainer", "eval"), {"__builtins__": {}}, _Names(builtins))


def _helps(docstring: str) -> dict[str, str]:
    """First sentences of the docstring's entries, which stand a blank line apart."""
    helps, name = {}, ""
    for line in docstring.splitlines():
        head, colon, rest = line.strip().partition(":")
        if colon and head.isidentifier() and line.startswith("    "):
            name = head
            helps[name] = rest.strip()
        elif name and line.strip() and not helps[name].endswith("."):
            helps[name] += " " + line.strip()
        elif not line.strip():
            name = ""
    return {name: text.partition(". ")[0].strip() for name, text in helps.items()}
