"""The experiments there are: files of conf/experiment/, each with what it is in its first lines."""

from __future__ import annotations

import re
from pathlib import Path

from snnlab.composition.groups import conf_folder


def experiments() -> dict[str, str]:
    """Each experiment of snnlab and of the working folder's conf/, with its first sentence."""
    folders = (Path("conf"), conf_folder())  # of two of one name Hydra takes snnlab's
    files = [file for folder in folders for file in sorted((folder / "experiment").glob("*.yaml"))]
    return dict(sorted((file.stem, _first_sentence(file)) for file in files))


def _first_sentence(file: Path) -> str:
    """The first sentence of the comments, without the package line and the command."""
    said = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package") and "snnlab train" not in line:
            said.append(line.lstrip("# ").strip())
    text = " ".join(said)
    return re.split(r"(?<=\.)\s", text)[0] if text else ""
