"""The pages of docs/reference/ that mkdocs makes at each build: from the registry, the docstrings and the commands.

A hook of mkdocs (see mkdocs.yml): nothing of it is kept in the repository, so that nothing can go stale.
"""

from __future__ import annotations

import ast
import contextlib
import html
import importlib
import inspect
import io
import itertools
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import snnlab
from snnlab import commands, registry
from snnlab.commands.list import described
from snnlab.options import Option, first_line, options, shown
from snnlab.parts import Declared
from snnlab.training import config as configuration
from snnlab.training.lightning_options import OURS, lightning_options

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(snnlab.__file__).parent
SECTIONS = ("Shape", "Args", "Returns", "Raises", "Not", "Source")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, around those that are written by hand."""
    (reference,) = [
        entry["Reference"] for entry in config.nav or [] if isinstance(entry, dict) and "Reference" in entry
    ]
    reference[:0] = ["reference/index.md", "reference/commands.md", "reference/options.md", "reference/experiments.md"]
    reference += [f"reference/{family}.md" for family in registry.FAMILIES]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the pages."""
    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def pages() -> dict[str, str]:
    """Every generated page by name."""
    families = {family: family_page(family) for family in registry.FAMILIES}
    overview = {"index": index_page(), "commands": commands_page(), "options": options_page()}
    return overview | {"experiments": experiments_page()} | families


def index_page() -> str:
    rows = [
        (f"[{family}]({family}.md)", prose(family_text(family)), ", ".join(f"`{name}`" for name in own_parts(family)))
        for family in registry.FAMILIES
    ]
    return "\n".join(
        [
            "# Reference",
            "",
            "A part belongs to a family and has a name: `neuron=lif`. These pages are made from the registry at each"
            " build; `snnlab list FAMILY NAME` prints the same.",
            "",
            *table(("family", "what it is", "parts"), rows),
        ]
    )


def family_page(family: str) -> str:
    """All parts of a family, each with its docstring, its options, and where it is defined."""
    lines = [f"# {family}", "", prose(family_text(family)), ""]
    base = contract(family)
    if base is not None:
        lines += [f"Base class `{base.__module__}.{base.__qualname__}`. {prose(first_line(base))}", ""]
        lines += paragraphs(sections(inspect.cleandoc(base.__doc__ or ""))[""].partition("\n")[2])
        meanings = class_var_meanings(base)
        lines += [*(f"- `{name}`: {prose(meaning)}" for name, meaning in meanings.items()), ""] if meanings else []
    for name in own_parts(family):
        lines += part_section(family, name)
    return "\n".join(lines)


def part_section(family: str, name: str) -> Iterator[str]:
    part, facts = registry.get(family, name), described(family, name)
    said = sections(facts["docstring"])
    first, _, rest = said[""].partition("\n")
    yield from (f"## {name}", "", prose(first), "", *paragraphs(rest))
    for title in ("Shape", "Returns", "Raises", "Not"):
        if title in said:
            yield from (f"**{title}:** {prose(said[title])}", "")
    rows = [(f"`{o['name']}`", prose(o["type"]), o["unit"], code(o), prose(o["help"])) for o in facts["options"]]
    yield from table(("option", "type and range", "unit", "default", "meaning"), rows) if rows else ("No options.", "")
    if supplied := [key for key, option in options(part).items() if option.supplied]:
        yield from (
            "The run supplies " + ", ".join(f"`{key}`" for key in supplied) + "; in Python they are options.",
            "",
        )
    if constants := list(class_facts(part)):
        yield from ("; ".join(constants) + ".", "")
    if "Source" in said:
        yield from (f"**Source:** {prose(said['Source'])}", "")
    yield from (f"Defined in `{Path(facts['file']).relative_to(PACKAGE.parent).as_posix()}`.", "")


def commands_page() -> str:
    """What each command says of itself."""
    overview = help_of()
    lines = ["# Commands", "", "```text", overview, "```", ""]
    for name in re.findall(r"^  (\w+) ", overview, re.MULTILINE):
        lines += [f"## snnlab {name}", "", "```text", help_of(name), "```", ""]
    return "\n".join(lines)


def help_of(*words: str) -> str:
    said, columns = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            commands.main([*words, "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return said.getvalue().strip()


def options_page() -> str:
    """The options of a run that belong to no part."""
    roles = [(f"`{role}`", f"[{family}]({family}.md)") for role, family in configuration.ROLES.items()]
    roles += [(f"`{family}`", f"[{family}]({family}.md), any number") for family in configuration.SEVERAL]
    trainer = [(f"`trainer.{name}`", prose(o.type), f"`{shown(o.default)}`") for name, o in lightning_options().items()]
    ours = [(f"`trainer.{name}`", prose(why)) for name, why in OURS.items()]
    return "\n".join(
        [
            "# Options of a run",
            "",
            "Given as `name=value` on the command line, or in a file of `conf/experiment/`.",
            "",
            "## The run",
            "",
            *option_table(options(configuration.run), ""),
            "## Time",
            "",
            *option_table(options(configuration.time), "time."),
            "## Parts",
            "",
            "`neuron=cuba` chooses a part, `neuron.tau_mem=5` sets its options. Several parts are a list:"
            " `metric=[accuracy]`, then `metric.NAME.OPTION=value`.",
            "",
            *table(("option", "family"), roles),
            "## Trainer",
            "",
            "Every argument of Lightning's Trainer that a run leaves to you, with Lightning's default.",
            "",
            *table(("option", "type", "default"), trainer),
            "A run sets these itself and refuses them:",
            "",
            *table(("argument", "why"), ours),
        ]
    )


def experiments_page() -> str:
    """The files of conf/experiment/, each with the comment that it begins with."""
    lines = ["# Experiments", "", "`snnlab train experiment=NAME`. A name is a file of `conf/experiment/`.", ""]
    for path in sorted((ROOT / "conf" / "experiment").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        comment = re.match(r"# @package _global_\n((?:#.*\n)*)", text)
        command, _, about = re.sub(r"^# ?", "", comment[1] if comment else "", flags=re.MULTILINE).partition("\n")
        body = text[comment.end() :] if comment else text
        lines += [f"## {path.stem}", "", f"`{command}`", "", prose(" ".join(about.split())), ""]
        lines += ["```yaml", body.strip(), "```", ""]
    return "\n".join(lines)


def own_parts(family: str) -> list[str]:
    """The names of a family's parts that snnlab brings; those of plugins are described elsewhere."""
    files = {name: Path(registry.source_file(registry.get(family, name))) for name in registry.names(family)}
    return [name for name, file in files.items() if file.is_relative_to(PACKAGE)]


def family_text(family: str) -> str:
    """The docstring's first sentence of the module that brings the family."""
    module = registry.FAMILIES[family][0]
    first = next(name for name, modules in registry.FAMILIES.items() if modules[0] == module)
    if family != first:  # a module that brings several families says what the first of them is
        module = registry.get(family, own_parts(family)[0]).__module__
    return (importlib.import_module(module).__doc__ or "").partition("\n")[0].partition(". ")[0].rstrip(".") + "."


def contract(family: str) -> type | None:
    """The class that all parts of a family derive from; None where they are functions."""
    parts = [registry.get(family, name) for name in own_parts(family)]
    if not all(isinstance(part, type) for part in parts):
        return None
    shared = [base for base in parts[0].__mro__ if all(issubclass(part, base) for part in parts)]  # type: ignore[attr-defined, arg-type]
    return next((base for base in shared if issubclass(base, Declared) and base not in (Declared, *parts)), None)


def class_facts(part: Callable[..., Any]) -> Iterator[str]:
    """What a class says of itself beside its options: `delay`, `clock`, the fields of its state, …"""
    if not isinstance(part, type):
        return
    if hasattr(part, "State"):
        yield "`State`: " + ", ".join(f"`{field}`" for field in part.State._fields)
    kinds = {name: kind for base in reversed(part.__mro__) for name, kind in inspect.get_annotations(base).items()}
    for name in (name for name, kind in kinds.items() if is_class_var(kind)):
        value = getattr(part, name, None)
        if isinstance(value, bool | int | str) and not name.startswith("_"):
            yield f"`{name}`: {value}"


def class_var_meanings(base: type) -> dict[str, str]:
    """What the string under each class variable of a base class says, in one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
    assert isinstance(body, ast.ClassDef)
    return {
        ast.unparse(variable.target): " ".join(below.value.value.split())
        for variable, below in itertools.pairwise(body.body)
        if isinstance(variable, ast.AnnAssign) and is_class_var(ast.unparse(variable.annotation))
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def is_class_var(kind: Any) -> bool:
    """Annotations are text where a module postpones their evaluation."""
    return str(kind).removeprefix("typing.").startswith("ClassVar")


def sections(docstring: str) -> dict[str, str]:
    """A docstring by the titles of style: "" is what comes before the first one."""
    found: dict[str, list[str]] = {"": []}
    title = ""
    for line in docstring.splitlines():
        start = re.match(rf"({'|'.join(SECTIONS)}):(?: (.*)|)$", line)
        if start:
            title = start[1]
            found[title] = [start[2] or ""]
        else:
            found[title].append(line.strip() if title else line)
    return {title: (" " if title else "\n").join(lines).strip() for title, lines in found.items()}


def paragraphs(text: str) -> Iterator[str]:
    """Blocks of a docstring: equations as they stand, sentences as running text."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if not block.strip():
            continue
        yield from (("```text", block, "```", "") if is_equation(block) else (prose(" ".join(block.split())), ""))


def is_equation(block: str) -> bool:
    """Whether its first line relates two terms, or a later one is indented. No term has three words in a row."""
    left, relation, _ = re.split(r"( \+?= | ~ |$)", block.partition("\n")[0], maxsplit=1)
    terms = bool(relation) and not re.search(r"[A-Za-z]\w*( [a-z]+\b){2}", left)
    return terms or re.search(r"^\s", block, re.MULTILINE) is not None


def prose(text: str) -> str:
    """Plain text as Markdown that shows it letter by letter; what stands in backticks stays code."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(piece if piece.startswith("`") else _shown(piece) for piece in pieces)


def _shown(text: str) -> str:
    escaped = re.sub(r"([\\*_\[\]#])", r"\\\1", html.escape(text, quote=False))
    return escaped.replace("|", "&#124;")  # also where it stands in a cell of a table


def code(option: Mapping[str, Any]) -> str:
    return "must be given" if option["required"] else f"`{shown(option['default'])}`"


def option_table(known: Mapping[str, Option], where: str) -> Iterator[str]:
    rows = [
        (f"`{where}{o.name}`", prose(o.type), o.unit, f"`{shown(o.default)}`", prose(o.help)) for o in known.values()
    ]
    return table(("option", "type and range", "unit", "default", "meaning"), rows)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table of Markdown."""
    head = tuple(head)
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""
