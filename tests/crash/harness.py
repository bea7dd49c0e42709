"""Runs that are killed and go on, each in a fork of one process that has imported everything: python harness.py CASE.

Prints one JSON object: how often it was killed, and what then differed from the run that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from snnlab.composition import Composer
from snnlab.training import checkpoint, table
from snnlab.training.best_and_last import BestAndLast
from snnlab.training.run import train

TINY = (
    "network.hidden=[16]",
    "plots=false",
    "batch_size=300",  # five steps an epoch
    "checkpoint_minutes=0",
    "trainer.max_epochs=3",
    "time.steps=4",
    "trainer.enable_progress_bar=false",
)
HOOKS = ("on_train_batch_end", "on_validation_batch_end", "on_train_epoch_start", "on_train_epoch_end", "on_train_end")


def main(case: str, words: Sequence[str]) -> dict[str, Any]:
    """Compare the disturbed runs of one case with the undisturbed one."""
    torch.set_num_threads(1)
    given = {word.partition("=")[0] for word in words}
    composer = Composer()
    config = composer.job(
        composer.translated([*(word for word in TINY if word.partition("=")[0] not in given), *words])
    )
    with tempfile.TemporaryDirectory() as root:
        whole = Path(root) / "whole"
        begun = time.perf_counter()
        assert in_child(run, config, whole) == 0
        return CASES[case](config, Path(root), outcome(whole), time.perf_counter() - begun)


def after_each_save(config: dict[str, Any], root: Path, want: dict[str, Any], seconds: float) -> dict[str, Any]:
    """SIGKILL right after each checkpoint, in a run of its own each time."""
    differing: dict[str, list[str]] = {}
    for number in range(1, 1000):
        folder = root / f"save{number}"
        code = in_child(run, config, folder, kill_after_save=number)
        if code == 0:
            return {"killed": number - 1, "differing": differing}
        assert code == -signal.SIGKILL, code
        resumed(config, folder, want, differing)
    raise AssertionError("it never ended")


def by_signals(config: dict[str, Any], root: Path, want: dict[str, Any], seconds: float) -> dict[str, Any]:
    """SIGTERM or SIGINT in each hook, at its first, second, third and fifth call."""
    differing: dict[str, list[str]] = {}
    killed = 0
    for hook in HOOKS:
        for call in (1, 2, 3, 5):
            number = signal.SIGTERM if call % 2 else signal.SIGINT
            folder = root / f"{hook}{call}"
            code = in_child(run, config, folder, signalled=(hook, call, number))
            if code == 0:  # the hook was not called so often
                break
            killed += 1  # 77: the signal came, and the run went on to its end
            if code != 128 + number:
                differing[folder.name] = [f"exit code {code}"]
            resumed(config, folder, want, differing)
    return {"killed": killed, "differing": differing}


def at_random_moments(config: dict[str, Any], root: Path, want: dict[str, Any], seconds: float) -> dict[str, Any]:
    """20 runs, each killed once at a random moment, and one killed again and again, 20 times; SIGKILL from outside."""
    differing: dict[str, list[str]] = {}
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    killed = 0
    for number in range(20):
        folder = root / f"moment{number}"
        killed += in_child(run, config, folder, kill_after=moments.uniform(0, seconds)) != 0
        resumed(config, folder, want, differing)
    folder, kills = root / "again0", 0
    for attempt in range(1, 200):
        if in_child(run, config, folder, kill_after=moments.uniform(0, seconds / 6)) != 0:
            kills += 1
        else:  # it came to its end before it was killed so often
            resumed(config, folder, want, differing)
            folder = root / f"again{attempt}"
        if kills == 20:
            break
    resumed(config, folder, want, differing)
    return {"killed": killed, "killed_again": kills, "differing": differing, "seed": seed}


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "after_each_save": after_each_save,
    "by_signals": by_signals,
    "at_random_moments": at_random_moments,
}


def resumed(config: dict[str, Any], folder: Path, want: dict[str, Any], differing: dict[str, list[str]]) -> None:
    """Let the run of a folder go on to its end, and note what is not as it should be."""
    code = in_child(run, config, folder)
    if code != 0:
        differing.setdefault(folder.name, []).append(f"it went on to exit code {code}")
    elif found := different(want, outcome(folder)):
        differing.setdefault(folder.name, []).extend(found)


def run(
    config: dict[str, Any],
    folder: Path,
    kill_after_save: int = 0,
    signalled: tuple[str, int, int] | None = None,
) -> None:
    """Train in `folder`, and kill this process after a save, or note a signal in a hook as its handler would."""
    count = 0
    save = BestAndLast._save

    def save_and_die(self: BestAndLast, *arguments: Any) -> None:
        nonlocal count
        save(self, *arguments)
        count += 1
        if count == kill_after_save:
            os.kill(os.getpid(), signal.SIGKILL)

    BestAndLast._save = save_and_die  # type: ignore[method-assign]
    calls = 0
    if signalled is not None:
        hook, call, number = signalled
        before = getattr(BestAndLast, hook)

        def receive(self: BestAndLast, *arguments: Any, **keywords: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == call:
                os.kill(os.getpid(), number)
                time.sleep(0)  # Python runs the handler here
            before(self, *arguments, **keywords)

        setattr(BestAndLast, hook, receive)
    train(config | {"output_dir": str(folder)})
    if signalled is not None and calls >= signalled[1]:
        os._exit(77)


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run's numbers are: to be compared bit for bit."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    last = checkpoint.load(folder / "checkpoints" / "last.ckpt")
    best = checkpoint.load(folder / result["best_checkpoint"])
    return {
        **{name: result[name] for name in ("metrics", "best_epoch", "epochs", "id")},
        "rows": table.read(folder / table.NAME),
        "rows of the checkpoint": last["snnlab"]["rows"],
        "steps": last["global_step"],
        "last weights": last["state_dict"],
        "best weights": best["state_dict"],
        "optimizer": last["optimizer_states"],
        "schedule": last["lr_schedulers"],
    }


def different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of what is not the same to the last bit."""
    return [name for name in one if not same(one[name], other[name])]


def same(one: Any, other: Any) -> bool:
    """Whether two values, tensors inside them too, are equal."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def in_child(function: Callable[..., None], *arguments: Any, kill_after: float | None = None, **keywords: Any) -> int:
    """The exit code of a function in a fork of this process; -9 where it was killed."""
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        try:
            function(*arguments, **keywords)
            os._exit(0)
        except SystemExit as ended:
            os._exit(ended.code if isinstance(ended.code, int) else 1)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)  # of a process that has ended nothing is left to kill but its name
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2:])))
