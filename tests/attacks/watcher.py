"""A process that opens hostile files and counts what happens: not a test, but the program that the tests talk to.

It reads a request a line from standard input and answers each with a line of JSON. Each request runs in a fork of its
own, with little memory and little time, under an audit hook, which nothing that runs in the process can take off. What
a harmless run of the same command does is learned first; what goes beyond it is counted.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import CodeType
from typing import Any

MEMORY = 512 << 20
"""Bytes of address space that a command may take beyond what the process has."""
SECONDS = 60

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PATHS = {
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.truncate",
}
"""Events whose arguments are paths that change."""
COUNTED = (
    *("import", "exec", "compile", "marshal.loads", "code.__new__", "function.__new__", "pickle.find_class"),
    *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn"),
    *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"),
    *("ctypes.dlopen", "ctypes.dlsym", "ctypes.string_at", "ctypes.cdata", "urllib.Request", "webbrowser.open"),
    *("os.kill", "signal.pthread_kill", "sys.settrace", "sys.setprofile"),
)


class Watch:
    """The hook. It hears everything from `begin` on, and keeps what is counted."""

    def __init__(self) -> None:
        self.heard: dict[str, None] = {}  # in their order, each once
        self.mine: tuple[str, ...] | None = None
        sys.addaudithook(self)

    def begin(self, mine: list[str]) -> None:
        """Listen. Writes below the folders `mine` are not counted."""
        self.mine = tuple(os.path.realpath(folder) for folder in mine)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.mine is None:
            return
        if event == "open" and isinstance(arguments[0], str | bytes) and arguments[2] & WRITING:
            self._changed("open", arguments[0])
        elif event in PATHS or event.startswith("shutil."):
            for argument in arguments:
                if isinstance(argument, str | bytes | os.PathLike):
                    self._changed(event, argument)
        elif event in COUNTED:
            # Of a program that is started: which, and with which words; the folder it starts in has a name of its own.
            self.heard[f"{event} {_described(arguments[:2] if event == 'subprocess.Popen' else arguments)}"] = None

    def _changed(self, event: str, path: Any) -> None:
        # A link itself is removed or renamed; opened for writing is what it means.
        path = os.fsdecode(path)
        folder, name = os.path.split(path)
        real = os.path.realpath(path) if event == "open" else os.path.join(os.path.realpath(folder or "."), name)
        if real != os.devnull and not any(real == mine or real.startswith(mine + os.sep) for mine in self.mine or ()):
            self.heard[f"{event} {real}"] = None


def _described(arguments: tuple[Any, ...]) -> str:
    """Enough of an event to tell two of them apart."""
    if not arguments:
        return ""
    if isinstance(arguments[0], CodeType):
        code = arguments[0]
        return f"{code.co_filename} {code.co_name} {hashlib.sha256(_all_of(code).encode()).hexdigest()[:16]}"
    if isinstance(arguments[0], ast.AST):
        return ast.dump(arguments[0])[:500]
    if isinstance(arguments[0], str) and len(arguments) == 5:
        return arguments[0]  # import: what else it is told is of the process
    return repr(arguments)[:500]


def _all_of(code: CodeType) -> str:
    """A code object in words that are the same in each process."""
    constants = [_all_of(each) if isinstance(each, CodeType) else ascii(each) for each in code.co_consts]
    return ascii((code.co_names, code.co_varnames, code.co_code, constants))


def command(words: list[str]) -> int:
    """A command of snnlab."""
    from snnlab.commands import main

    return main(words)


def load(run: str) -> int:
    """What a notebook does with a run."""
    import snnlab
    from snnlab.errors import SnnlabError

    try:
        opened = snnlab.load(run)
        print(opened, opened.config["experiment"], opened.network)
        print(opened.metrics, opened.history)
    except SnnlabError as error:
        print(f"snnlab: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def script(words: list[str]) -> int:
    """A script of the repository."""
    import runpy

    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")
    return 0


def careless(kind: str, path: str) -> int:
    """Opens a file as nobody should: what it would have done is then counted."""
    import numpy
    import torch
    import yaml

    {
        "torch": lambda: torch.load(path, weights_only=False),
        "numpy": lambda: [
            dict(array) if hasattr(array, "files") else array for array in [numpy.load(path, allow_pickle=True)]
        ],
        "yaml": lambda: yaml.unsafe_load(Path(path).read_text(encoding="utf-8")),
        "hydra": lambda: importlib.import_module("hydra.utils").instantiate(yaml.safe_load(Path(path).read_text())),
        "text": lambda: exec(Path(path).read_text(encoding="utf-8")),
        "write": lambda: Path(path).write_text("written"),
        "memory": lambda: Path(path).write_bytes(b"1" * (4 * MEMORY)),
        "wait": lambda: time.sleep(1000),
    }[kind]()
    return 0


OPENERS: dict[str, Callable[..., int]] = {"command": command, "load": load, "script": script, "careless": careless}


def answer(watch: Watch, request: dict[str, Any]) -> dict[str, Any]:
    """Run a request in a fork."""
    read, write = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(read)
        _open(watch, request, write)
    os.close(write)
    report = _report(read, child, started + request.get("seconds", SECONDS))
    folder = Path(request["folder"])
    texts = {name: (folder / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err")}
    return {"seconds": time.monotonic() - started, **texts, **report}


def _report(read: int, child: int, until: float) -> dict[str, Any]:
    """What the fork says, or how it ended without a word."""
    said = b""
    while select.select([read], [], [], max(until - time.monotonic(), 0))[0]:
        if not (piece := os.read(read, 1 << 16)):
            break
        said += piece
    else:
        os.kill(child, signal.SIGKILL)
    os.close(read)
    _, status = os.waitpid(child, 0)
    if said:
        report: dict[str, Any] = json.loads(said)
        return report
    return {"code": -os.WTERMSIG(status) if os.WIFSIGNALED(status) else status, "heard": [], "modules": [], "memory": 0}


def _open(watch: Watch, request: dict[str, Any], write: int) -> None:
    """In the fork: run the request, tell what was heard, end."""
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(Path(request["folder"], name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    os.chdir(request["cwd"])
    os.environ["PATH"] = request.get("path", os.environ["PATH"])
    before = _memory("VmSize"), _memory("VmRSS")
    if not request.get("learn"):
        resource.setrlimit(resource.RLIMIT_AS, (before[0] + MEMORY, before[0] + MEMORY))
    watch.begin([request["folder"] + "/out", request["folder"] + "/err", *request["mine"]])
    try:
        code = OPENERS[request["opener"]](*request["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    watch.mine = None
    sys.stdout.flush()
    sys.stderr.flush()
    report = {"code": code, "heard": list(watch.heard), "memory": _memory("VmHWM") - before[1], "modules": []}
    if request.get("learn"):
        report["modules"] = list(sys.modules)
    with open(write, "w") as pipe:
        json.dump(report, pipe)
    os._exit(0)


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) << 10


def warm(words: list[list[str]]) -> None:
    """Run commands in this process, so that each fork finds what they keep for the next time.

    They must not train: torch refuses to in a fork of a process that did.
    """
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        for each in words:
            command(each)


def serve() -> None:
    """Answer requests until there are no more."""
    sys.path.insert(0, "")  # as in a notebook: whatever lies in the working folder can be imported
    for module in ("snnlab.sweeps.begin", "snnlab.notebook", "snnlab.training.run"):  # else each first run would
        importlib.import_module(module)
    watch = Watch()
    known: dict[str, set[str]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        warm(request.get("warm", ()))
        report = answer(watch, request)
        if request.get("learn"):
            known.setdefault(request["learn"], set()).update(report["heard"])
            for module in report["modules"]:  # so that the next fork finds them
                try:
                    importlib.import_module(module)
                except Exception:
                    continue
        learned = known.get(request.get("like", ""), set())
        report["counted"] = [event for event in report.pop("heard") if event not in learned]
        report.pop("modules")
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    serve()
    os._exit(0)  # taking down all that was imported would take seconds
