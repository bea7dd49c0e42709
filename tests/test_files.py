"""Every file is written whole or not at all, whatever happens in between."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from snnlab import files
from snnlab.files import replacing, write_bytes, write_json, write_text

ROOT = Path(__file__).parent.parent


def left_beside(path):
    return sorted(other.name for other in path.parent.iterdir() if other != path)


def test_bytes_text_and_json_are_written(tmp_path):
    write_bytes(tmp_path / "a.bin", b"\x00\xff")
    write_text(tmp_path / "new" / "folders" / "a.txt", "Zürich\n")
    write_json(tmp_path / "a.json", {"x": [1, 2.5, None, True], "y": "ü"})
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "new" / "folders" / "a.txt").read_bytes() == "Zürich\n".encode()
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, 2.5, None, True], "y": "ü"}
    assert left_beside(tmp_path / "a.bin") == ["a.json", "new"]


def test_numbers_that_json_lacks_become_null(tmp_path):
    write_json(tmp_path / "a.json", {"x": math.nan, "y": [math.inf, (-math.inf, 1.0)], "z": 1e308})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [None, [None, 1.0]], "z": 1e308}


def test_the_old_file_is_there_until_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path, "w") as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
        assert len(left_beside(path)) == 1
        assert left_beside(path)[0].endswith(".part")
    assert path.read_text() == "new"
    assert left_beside(path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_leaves_the_old_file_and_no_trace(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path, "w") as file:
        file.write("half of the n")
        raise error
    assert path.read_text() == "old"
    assert left_beside(path) == []


class FullDisk:
    """A file whose disk is full after some bytes, or when it is flushed."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)


@pytest.mark.parametrize("room", [0, 3])
def test_a_full_disk_leaves_the_old_file_and_no_trace(tmp_path, monkeypatch, room):
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(files, "open", lambda *a, **k: FullDisk(open(*a, **k), room), raising=False)  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "a new text")
    assert path.read_text() == "old"
    assert left_beside(path) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_at_the_very_end_leaves_the_old_file_and_no_trace(tmp_path, monkeypatch, call):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="Input/output"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert left_beside(path) == []


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, original=original: (calls.append(name), original(*a))[1])
    write_text(tmp_path / "a.txt", "new")
    assert calls == ["fsync", "replace"]


KILLED_WHILE_WRITING = """
import sys
from snnlab.files import replacing
with replacing(sys.argv[1], "w") as file:
    file.write("new" * 100_000)
    file.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert path.read_text() == "old"
    assert all(name.endswith(".part") for name in left_beside(path))


def killed_at(path, moment):
    """Write the file in a child that kills itself just before its n-th call to the system; how the child ended."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(original):
            def call(*arguments, **keywords):
                nonlocal count
                count += 1
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*arguments, **keywords)

            return call

        os.fsync, os.replace = counted(os.fsync), counted(os.replace)
        files.open = lambda *a, **k: Counted(open(*a, **k), counted)  # noqa: SIM115
        write_text(path, "new")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Counted(FullDisk):
    """A file whose writes and flushes are counted."""

    def __init__(self, file, counted):
        super().__init__(file, math.inf)
        self.write, self.flush = counted(file.write), counted(file.flush)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_process_killed_before_any_call_leaves_the_old_file_or_the_new_one(tmp_path):
    found = []
    for moment in range(1, 10):
        path = tmp_path / f"{moment}.txt"
        path.write_text("old")
        ended = killed_at(path, moment)
        found.append(path.read_text())
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
    # write, flush, fsync, replace: only the last makes it new
    assert found == ["old", "old", "old", "old", "new"]


def test_threads_that_write_one_file_leave_one_of_their_texts_whole(tmp_path):
    path = tmp_path / "a.txt"
    texts = [str(number) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert left_beside(path) == []


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_file_has_the_rights_of_any_other_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a.txt", "new")
        (tmp_path / "b.txt").write_text("new")
    finally:
        os.umask(before)
    one, other = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt"))
    assert one == other


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError, match=r"a\.txt"):
        write_text(tmp_path / "a.txt", "new")
    assert left_beside(tmp_path / "a.txt") == []


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OSError, match="runs"):
        write_text(tmp_path / "runs" / "a.txt", "new")
