"""A run whose n-th file operation fails or kills it, and that is started again: faults.py KIND FIRST STRIDE BEGUN WORD…

For n = FIRST, FIRST + STRIDE, … until a run has fewer operations. With BEGUN, the n-th operation of the second process,
after a first one was killed at that operation. Each run is a fork of one process that has imported everything and
trained nothing. Prints one JSON object: which operations were disturbed, and what was then not as it
should be.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import errno
import gc
import importlib
import io
import json
import mmap
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from harness import same

from snnlab import composition
from snnlab.commands import main as snnlab
from snnlab.training import checkpoint, identity
from snnlab.training.best_and_last import BestAndLast

TINY = (
    "output_dir=run",
    "network.hidden=[8]",
    "plots=false",
    "time.steps=4",
    "batch_size=64",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "trainer.enable_progress_bar=false",
)
KINDS = {
    "killed": (None, False),
    "full once": (errno.ENOSPC, False),
    "full from then on": (errno.ENOSPC, True),
    "broken once": (errno.EIO, False),
    "broken from then on": (errno.EIO, True),
}
"""What befalls an operation: the error that it raises, or SIGKILL, and whether all later ones fail as well."""

OPENED = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.utime", "os.truncate")
"""What Python tells of before it happens. Opening a file to write, writes and fsync are counted as well."""


class Fault(NamedTuple):
    """What goes wrong: the kind, and the number of the operation, from 1."""

    kind: str
    number: int


class Report(NamedTuple):
    """What became of a disturbed process."""

    code: int
    said: str
    operation: str  # that was disturbed; empty where there were fewer
    saved: int  # epochs in last.ckpt, as the process knew


def install(fault: Fault | None, folder: Path, notes: mmap.mmap) -> None:
    """Let an operation in `folder` go wrong, from here on in this process; the number of all is in `notes`."""
    count, inside, real_open = 0, f"{folder}{os.sep}", io.open

    def operation(what: str, path: Any, half: Callable[[], Any] = lambda: None) -> None:
        nonlocal count
        count += 1
        if fault is None or count < fault.number:
            return
        error, lasting = KINDS[fault.kind]
        if count > fault.number and not lasting:
            return
        if count == fault.number:
            note(notes, f"{what} {os.path.relpath(path, folder)}")
            half()
        if error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise OSError(error, os.strerror(error), str(path))

    class File(io.FileIO):
        """A file of which a disturbed write leaves a half, as it does on a full disk."""

        def write(self, data: Any) -> int:
            operation("write", self.name, lambda: super(File, self).write(memoryview(data)[: len(data) // 2]))
            return super().write(data)

    def opened(file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, *rest: Any, **more: Any) -> Any:
        writes = set(mode) & set("wxa+") and isinstance(file, str | os.PathLike)
        if not writes or not os.path.abspath(file).startswith(inside):
            return real_open(file, mode, buffering, encoding, *rest, **more)
        raw = io.BufferedWriter(File(file, mode.replace("b", "").replace("t", "")))
        return raw if "b" in mode else io.TextIOWrapper(raw, encoding=encoding, line_buffering=buffering == 1)

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, flags = arguments[0], arguments[2]
            if isinstance(path, int) or not flags & OPENED:
                return
        elif event in EVENTS:
            path = arguments[0]
        else:
            return
        path = os.path.abspath(os.fsdecode(path))
        if path.startswith(inside):
            operation(event, path)

    builtins.open = io.open = opened  # type: ignore[assignment]
    os.fsync = lambda descriptor: operation("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))  # type: ignore[assignment]
    sys.addaudithook(heard)


def disturbed(folder: Path, fault: Fault | None = None) -> Report:
    """Train in folder/run, in a fork of this process."""
    notes = mmap.mmap(-1, 4096)
    said = folder.with_suffix(".said")
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            folder.mkdir(exist_ok=True)
            os.chdir(folder)
            with open(said, "wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(n, "w"), write_through=True) for n in (1, 2))
            save = BestAndLast._save

            def noted(self: BestAndLast, trainer: Any, *arguments: Any) -> None:
                save(self, trainer, *arguments)
                if len(arguments) == 1:
                    notes[0] = trainer.current_epoch

            BestAndLast._save = noted  # type: ignore[method-assign]
            install(fault, folder, notes)
            code = snnlab(["train", "output_dir=run"])
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = notes[1:].rstrip(b"\0").decode()
    return Report(code, said.read_text(errors="replace"), text, notes[0])


def explore(kind: str, first: int, stride: int, begun: int, words: Sequence[str]) -> dict[str, Any]:
    """Disturb every operation of a run, each in a run of its own, start it again, and compare with an undisturbed one.

    Args:
        kind: what befalls the operation.
        first: the first one.
        stride: from one to the next.
        begun: the operation at which a process before was killed; 0: there was none.
        words: options of the run, beside and in the place of TINY.
    Returns: the operations by their numbers, and what was wrong by theirs.
    """
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    operations: dict[int, str] = {}
    wrong: dict[int, list[str]] = {}
    with tempfile.TemporaryDirectory(dir=place) as name:
        root = Path(name)
        prepare(root, words)
        whole = disturbed(root / "whole")
        assert whole.code == 0, whole.said
        want = outcome(root / "whole" / "run")
        if begun:
            assert disturbed(root / "begun", Fault("killed", begun)).code == -signal.SIGKILL
        for number in range(first, 100_000, stride):
            folder = root / str(number)
            if begun:
                shutil.copytree(root / "begun", folder)
            report = disturbed(folder, Fault(kind, number))
            if not report.operation:
                return {"operations": operations, "wrong": wrong}
            operations[number] = report.operation
            if found := [*told_wrong(report, kind), *left_wrong(folder / "run", report), *ended_wrong(folder, want)]:
                wrong[number] = found
            shutil.rmtree(folder)
    raise AssertionError("it never ended")


def told_wrong(report: Report, kind: str) -> list[str]:
    """What is wrong with how a disturbed process ended: by SIGKILL, by a sentence, or well."""
    if kind == "killed":
        return [] if report.code == -signal.SIGKILL else [f"exit code {report.code}: {report.said}"]
    errors = [line for line in report.said.splitlines() if line.startswith("snnlab: ")]
    if report.code == 0 and not errors:
        return [report.said] if "Traceback" in report.said else []
    if report.code == 1 and len(errors) == 1 and "Traceback" not in report.said:
        return []
    return [f"exit code {report.code}: {report.said}"]


def left_wrong(run: Path, report: Report) -> list[str]:
    """What is wrong with the folder: what was saved last is there, and the result where it said so."""
    if report.code == 0 and not (run / "result.json").is_file():
        return ["it ended well, and there is no result"]
    if report.saved:
        rows = checkpoint.load(run / "checkpoints" / "last.ckpt")["snnlab"]["rows"]
        if len(rows) < report.saved:
            return [f"{report.saved} epochs were saved, and {len(rows)} are there"]
    return []


def ended_wrong(folder: Path, want: dict[str, Any]) -> list[str]:
    """What is not as in an undisturbed run once this one was started again."""
    again = disturbed(folder)
    if again.code != 0:
        return [f"it went on to exit code {again.code}: {again.said}"]
    found = outcome(folder / "run")
    return [f"another {name}" for name in want if not same(want[name], found[name])]


def outcome(run: Path) -> dict[str, Any]:
    """What a run leaves but for its times."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    saved = checkpoint.load(run / "checkpoints" / "last.ckpt")
    best = checkpoint.load(run / result["best_checkpoint"])
    left = (str(path.relative_to(run)) for path in run.rglob("*") if path.parent.name != "attempts")
    return {
        "result.json": {key: value for key, value in result.items() if key not in ("seconds", "versions", "git")},
        "metrics.csv": (run / "metrics.csv").read_bytes(),
        "last weights": saved["state_dict"],
        "best weights": best["state_dict"],
        "optimizer": saved["optimizer_states"],
        "list of files": sorted(name for name in left if not name.endswith(".png")),  # a picture may be missing
    }


def prepare(root: Path, words: Sequence[str]) -> None:
    """Import what a run needs, and compose its configuration once: forks begin with both."""
    given = {word.partition("=")[0] for word in words}
    composer = composition.Composer()
    config = composer.job(composer.translated([*(w for w in TINY if w.partition("=")[0] not in given), *words]))

    class Composed:
        def translated(self, words: Sequence[str]) -> list[str]:
            return list(words)

        def job(self, words: Sequence[str]) -> dict[str, Any]:
            return copy.deepcopy(config)

    composition.Composer = Composed  # type: ignore[assignment,misc]
    identity.git = lambda: None
    torch.set_num_threads(1)
    listed = root / "modules"
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        os.chdir(root)
        code = snnlab(["train", "output_dir=run"])
        listed.write_text("\n".join(sys.modules))
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    for module in listed.read_text().split("\n"):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.freeze()  # or collecting garbage would copy all of it in each fork


def note(notes: mmap.mmap, text: str) -> None:
    """Leave a text for the parent of this process."""
    data = text.encode()[:4000]
    notes[1 : 1 + len(data)] = data


if __name__ == "__main__":
    print(json.dumps(explore(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5:])))
