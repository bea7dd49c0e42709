"""The page about Slurm: its blocks run on a real one of two nodes."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "slurm.sh"


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run(["bash", str(SCRIPT), "install"], capture_output=True, timeout=300)  # if it fails, start says why
    command = ["bash", str(SCRIPT), "start", str(folder), str(os.getpid())]
    started = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if started.returncode:
        reason = started.stderr.strip().rpartition("\n")[2]
        if os.environ.get("SNNLAB_REQUIRE_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)
    for word in shlex.split(started.stdout.replace("export ", "")):
        name, _, value = word.partition("=")
        monkeypatch.setenv(name, os.path.expandvars(value))
    yield
    subprocess.run(["bash", str(SCRIPT), "stop", str(folder)], check=False, timeout=60, capture_output=True)


@pytest.mark.slurm
@pytest.mark.timeout(600)
def test_the_blocks_of_the_page_run_and_print_what_it_shows(
    slurm: None, blocks_of: Callable[[Path], list[Any]], reader: Any
) -> None:
    reader.work_through(blocks_of(ROOT / "docs" / "how-to" / "slurm.md"))
