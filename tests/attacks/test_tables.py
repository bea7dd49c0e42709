"""Hostile files of runs in a table: `snnlab results` and `snnlab diff` list what they can and do no harm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ESCAPE = "\x1b]0;evil\x07"
HOSTILE: dict[str, dict[str, Any]] = {
    "a number of many digits": {"metrics": {"test/accuracy": 10**400}},
    "a text in place of a number": {"metrics": {"test/accuracy": "high"}},
    "an escape sequence as a metric": {"metrics": {f"test/{ESCAPE}": 1.0}},
    "an escape sequence as an option": {"config": {ESCAPE: ESCAPE, "neuron": {"name": ESCAPE}}},
    "another type in every place": {
        "versions": [],
        "git": 3,
        "device": {},
        "seconds": "x",
        "overrides": 1,
        "config": 2,
    },
    "a name of a megabyte": {"config": {"neuron": {"name": "x" * 900_000}}},
    "nested options": {"config": json.loads('{"a":' * 200 + "1" + "}" * 200)},
}
TEXTS: dict[str, tuple[str, str]] = {
    "a result that is none": ("result.json", "[" * 100_000),
    "an object in config.yaml": ("config.yaml", "neuron: !!python/object/apply:os.system ['touch canary.txt']"),
    "nested lists in config.yaml": ("config.yaml", "neuron: " + "[" * 20_000),
    "a table of one long line": ("metrics.csv", "a," * 400_000),
    "an attempt that is none": ("attempts/1.json", '{"owner": 3, "status": []}'),
    "an attempt in the future": ("attempts/999999.json", '{"owner": {"pid": -1}, "status": "running"}'),
}


def changed(name: str) -> Callable[[Path], None]:
    def forge(run: Path) -> None:
        result = json.loads((run / "result.json").read_text()) | HOSTILE[name]
        (run / "result.json").write_text(json.dumps(result))

    return forge


def written(name: str) -> Callable[[Path], None]:
    def forge(run: Path) -> None:
        file, text = TEXTS[name]
        if file != "result.json":
            (run / "result.json").unlink()  # then the other files are looked at
        (run / file).write_text(text)

    return forge


def pipes(run: Path) -> None:
    for name in ("result.json", "metrics.csv", "attempts/1.json"):
        (run / name).unlink()
        os.mkfifo(run / name)


FORGERIES = {
    **{name: changed(name) for name in HOSTILE},
    **{name: written(name) for name in TEXTS},
    "pipes that nobody writes to": pipes,
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_table_of_forged_runs_does_no_harm(
    forge: Callable[[Path], None], attacked: Callable[..., dict[str, Any]]
) -> None:
    for name, opened in attacked(forge, ["results", "runs", "curve", "diff"]).items():
        assert opened.code in (0, 1, 2), (name, opened)
        assert "Traceback" not in opened.err, (name, opened.err)
