"""How the blocks of a page are run: its files, its Python and its commands, in their order, in one temporary folder.

CONTRIBUTING says what each kind of block is.
"""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from snnlab import registry
from snnlab.commands import main

ROOT = Path(__file__).parents[2]
NOT_RUN = re.compile(r"<!-- not run: *(.*?) *-->")
TITLE = re.compile(r'title="([^"]+)"')
OUTPUT = "output"
TO_BASH = set("|&;<>*()")  # a command with one of these outside of quotes is more than words


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    not_run: str | None
    """Why it is not run; None where it is."""

    @property
    def place(self) -> str:
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        if fence := re.match(r"(```+)(.*)", lines[number]):
            end = next(i for i in range(number + 1, len(lines)) if lines[i].rstrip() == fence[1])
            language, title = fence[2].partition(" ")[0], TITLE.search(fence[2])
            marker = NOT_RUN.fullmatch(lines[number - 1].strip()) if number else None
            text = "\n".join(lines[number + 1 : end]) + "\n"
            name = title[1] if title else ""
            found.append(Block(page, number + 1, language, name, text, marker[1] if marker else None))
            number = end
        number += 1
    return found


@dataclass
class Reader:
    """Somebody who works through a page, in a folder of their own."""

    folder: Path
    names: dict[str, object]
    environment: dict[str, str]
    built_in: dict[str, dict[str, Callable[..., object]]]
    code: int = 0
    printed: str = ""
    ran: list[str] = field(default_factory=list)

    def work_through(self, page: Iterable[Block]) -> None:
        """Do what a page says, and hold what comes out against what it shows."""
        for block in page:
            if block.not_run is None:
                self.follow(block)
                if self.ran and block.language in ("bash", "console"):
                    self.ends_well(block)

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if block.title == OUTPUT:
            assert shows(block.text, self.printed), differs(block, block.text, self.printed)
        elif block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            self.python(block)
        elif block.language in ("bash", "console"):
            for command, expected in commands(block):
                self.command(block, command, expected)

    def python(self, block: Block) -> None:
        # As many empty lines before it as on the page: a traceback tells the page's line.
        code = compile("\n" * block.line + block.text, str(block.page), "exec", dont_inherit=True)
        with captured() as said:
            exec(code, self.names)
        self.printed = said.getvalue()

    def command(self, block: Block, command: str, expected: str | None) -> None:
        asks_for_code = command == "echo $?"
        if not asks_for_code:
            self.ends_well(block)
        self.printed = f"{self.code}\n" if asks_for_code else self.run(command)
        if asks_for_code:
            self.code = 0  # the reader has seen it
        if expected is not None:
            assert shows(expected, self.printed), differs(block, f"$ {command}\n{expected}", self.printed)
        self.ran.append(command)

    def ends_well(self, block: Block) -> None:
        """An exit code other than 0 is one that the page shows by `echo $?`."""
        assert self.code == 0, f"{block.place}: {self.ran[-1]}: exit code {self.code}\n{self.printed}"

    def run(self, command: str) -> str:
        """Run a command of the shell; snnlab's own in this process, for each start of one takes seconds."""
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = list(lexer)
        if not any(TO_BASH & set(word) and set(word) <= TO_BASH for word in words):
            if words[0] == "export":
                self.code = 0
                for word in words[1:]:
                    name, _, value = word.partition("=")
                    self.environment[name] = self.expanded(value)
                return ""
            if words[0] == "snnlab":
                return self.snnlab(*(path for word in words[1:] for path in self.files(self.expanded(word))))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        known = os.environ | self.environment | {"PATH": path}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=known,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        self.code = done.returncode
        return done.stdout

    def snnlab(self, *words: str) -> str:
        """The command in this process, as one that starts anew: with the plugins of the page, and no others."""
        with pytest.MonkeyPatch.context() as patch, captured() as said:
            patch.setattr(registry, "_parts", {family: dict(parts) for family, parts in self.built_in.items()})
            patch.setattr(registry, "_plugins", None)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            self.code = main(words)
        forget_plugins()
        return said.getvalue()

    def files(self, word: str) -> list[str]:
        """What a shell makes of `runs/*`."""
        return (sorted(glob.glob(word, root_dir=self.folder)) if "*" in word else []) or [word]

    def expanded(self, word: str) -> str:
        known = os.environ | self.environment | {"PWD": str(self.folder)}
        return re.sub(r"\$(\w+)", lambda name: known[name[1]], word)


def commands(block: Block) -> Iterator[tuple[str, str | None]]:
    """The commands of a block, and what each prints; None where the block does not show it."""
    text = block.text.replace("\\\n", "")
    if block.language == "bash":
        yield from ((line, None) for line in text.splitlines() if line.strip() and not line.startswith("#"))
        return
    for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = entry.partition("\n")
        yield command.strip(), printed


def shows(expected: str, printed: str) -> bool:
    """Whether a page shows what was printed, where `…` stands for anything."""
    lines = [r"(?:.*\n)*?" if line.strip() == "…" else f"{pattern(line)}[ ]*\n" for line in tidy(expected)]
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in tidy(printed))) is not None


def pattern(line: str) -> str:
    return ".*?".join(re.escape(piece) for piece in line.split("…"))


def tidy(text: str) -> list[str]:
    """Its lines, without blank ones at both ends and blanks at the ends of lines."""
    return [line.rstrip() for line in text.strip("\n").splitlines()] if text.strip() else []


def differs(block: Block, expected: str, printed: str) -> str:
    return f"{block.place}: the page shows\n{expected}\nand this was printed:\n{printed}"


@contextlib.contextmanager
def captured() -> Iterator[io.StringIO]:
    """What is printed, errors among the rest, as on a terminal."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said


def forget_plugins() -> None:
    for name in [name for name in sys.modules if name.startswith("snnlab_plugin_")]:
        del sys.modules[name]


@pytest.fixture
def blocks_of() -> Callable[[Path], list[Block]]:
    """Gives the fenced blocks of a page."""
    return blocks


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A reader at the top of a page, with the repository's scripts beside them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNLAB_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)  # as in any Python that is started there
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    built_in = {
        family: {name: registry.get(family, name) for name in registry.names(family)} for family in registry.FAMILIES
    }
    monkeypatch.setattr(registry, "_parts", {family: dict(parts) for family, parts in built_in.items()})
    page = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)  # where the annotations of its classes are looked up
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    yield Reader(tmp_path, page.__dict__, {}, built_in)
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
