"""The watcher itself: what is done is counted, what hangs is ended, what is harmless is not counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

DONE = {
    "import antigravity": "import antigravity",
    "__import__('this')": "import this",
    "exec('1 + 1')": "exec <string>",
    "compile('1 + 1', 'x', 'eval')": "compile",
    "import os; os.system('true')": "os.system",
    "import subprocess; subprocess.run(['true'])": "subprocess.Popen",
    "import os; os.posix_spawn('/bin/true', ['true'], {})": "os.posix_spawn",
    "import os; os.fork() or os._exit(0)": "os.fork",
    "import socket; socket.socket().connect_ex(('127.0.0.1', 9))": "socket.connect",
    "import ctypes; ctypes.CDLL(None)": "ctypes.dlopen",
    "import pickle; pickle.loads(b'cos\\nsystem\\n.')": "pickle.find_class",
    "import marshal; marshal.loads(marshal.dumps(1))": "marshal.loads",
    "open('x', 'w')": "open ",
    "open('x', 'a')": "open ",
    "import os; os.open('x', os.O_CREAT)": "open ",
    "import os; os.mkdir('x')": "os.mkdir",
    "import os; os.symlink('x', 'y')": "os.symlink",
    "import os; os.rename('code.txt', 'x')": "os.rename",
    "import os; os.remove('code.txt')": "os.remove",
    "import shutil; shutil.copyfile('code.txt', 'x')": "shutil.copyfile",
}


@pytest.mark.parametrize("code", DONE)
def test_what_a_payload_does_is_counted(code: str, watched: Any, tmp_path: Path) -> None:
    (tmp_path / "code.txt").write_text(code)
    opened = watched.open("careless", "text", str(tmp_path / "code.txt"), cwd=str(tmp_path), like="evaluate")
    assert any(event.startswith(DONE[code]) for event in opened.counted), opened


def test_a_write_is_counted_where_the_folder_is_not_ones_own(watched: Any, tmp_path: Path) -> None:
    for folder in ("mine", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mine" / "link").symlink_to("../other/x")
    for name, count in (("mine/x", 0), ("other/x", 1), ("mine/../other/y", 1), ("mine/link", 1), ("mine2", 1)):
        opened = watched.open("careless", "write", str(tmp_path / name), mine=(tmp_path / "mine",))
        assert (opened.code, len(opened.counted)) == (0, count), (name, opened)


def test_what_takes_too_much_memory_fails_and_what_hangs_is_ended(watched: Any, tmp_path: Path) -> None:
    opened = watched.open("careless", "memory", str(tmp_path / "x"))
    assert opened.code == 1
    assert "MemoryError" in opened.err
    assert watched.open("careless", "wait", "", seconds=0.5).code == -9


def test_a_harmless_run_is_not_counted(watched: Any, twin: Path, tmp_path: Path) -> None:
    for words, like in (
        (["evaluate", str(twin)], "evaluate"),
        (["train", f"resume={twin}", "trainer.max_epochs=2"], "resume"),
    ):
        opened = watched.open("command", words, mine=(twin,), like=like)
        assert (opened.code, opened.counted) == (0, [])
    assert json.loads((twin / "result.json").read_text())["epochs"] == 2
