"""`snnlab.train` and `snnlab.load`: the command line's runs from Python, which leave nothing behind in its process."""

from __future__ import annotations

import json
import linecache
import logging
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import hydra
import matplotlib
import numpy as np
import pytest
import torch
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

import snnlab
from snnlab import registry
from snnlab.commands import main
from snnlab.composition import job
from snnlab.draws import Draws
from snnlab.errors import BadData, WrongOption
from snnlab.training import plots
from snnlab.training.module import Training
from snnlab.training.surroundings import surroundings_kept

README = Path(__file__).parent.parent / "README.md"
TINY: dict[str, Any] = {"trainer": {"max_epochs": 1}, "network": {"hidden": [32]}}
QUICK: dict[str, Any] = TINY | {"plots": False, "quiet": True}
WORDS = ("experiment=digits_lif", "seed=1", "trainer.max_epochs=1", "network.hidden=[32]")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which one run was trained from Python. For reading only."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        snnlab.train("digits_lif", seed=1, **TINY)
    return folder


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> snnlab.Run:
    """The run, loaded in its working folder."""
    monkeypatch.chdir(root)
    return snnlab.load("last")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_the_run_of_the_command_line_bit_for_bit(run: snnlab.Run, tmp_path: Path) -> None:
    assert main(["train", *WORDS, "plots=false", f"output_dir={tmp_path / 'run'}"]) == 0
    other = snnlab.load(tmp_path / "run")
    assert run.metrics == other.metrics
    assert run.history == other.history
    assert run.result["id"] == other.result["id"]
    assert run.result["overrides"] == list(WORDS)
    assert all(torch.equal(*pair) for pair in zip(run.network.parameters(), other.network.parameters(), strict=True))
    assert {path.name for path in run.folder.iterdir()} - {"plots"} == {path.name for path in other.folder.iterdir()}
    assert run.folder.parts[-3:-1] == ("runs", "digits_lif")


def test_a_run_is_found_by_everything_that_names_it(run: snnlab.Run) -> None:
    for name in (run.folder, str(run.checkpoint), run.result["id"][:8]):
        other = snnlab.load(name)
        assert (other.checkpoint, other.config, other.metrics) == (run.checkpoint, run.config, run.metrics)


def test_it_shows_what_came_out(run: snnlab.Run) -> None:
    accuracy = json.loads((run.folder / "result.json").read_text())["metrics"]["test/accuracy"]
    assert repr(run).startswith("<Run digits_lif in runs")
    assert f"test/accuracy {accuracy:.4f}; best epoch 0 of 1>" in repr(run)


def test_history_has_a_row_an_epoch(run: snnlab.Run) -> None:
    (row,) = run.history
    assert (row["epoch"], row["val/accuracy"]) == (0, run.metrics["val/accuracy"])


def test_a_changed_copy_of_its_configuration_changes_nothing(run: snnlab.Run) -> None:
    run.config["neuron"]["tau"] = -1
    assert run.config["neuron"]["tau"] == 10


def test_its_evaluation_gives_its_metrics(run: snnlab.Run) -> None:
    for split in ("test", "val"):
        expected = {name: value for name, value in run.metrics.items() if name.startswith(split)}
        assert run.evaluate(split) == expected
    half = run.evaluate(trainer={"precision": "bf16-mixed"}, **{"batch_size": np.int64(100)})
    assert half != run.evaluate() and half.keys() == run.evaluate().keys()


def test_its_network_gives_the_accuracy_of_the_result(run: snnlab.Run) -> None:
    assert not run.network.training
    test = run.data.test
    with torch.no_grad():
        counts = run.network(run.encoder(test.inputs, Draws(0))).outputs.sum(0)
    right = (counts.argmax(1) == test.targets).float().mean().item()
    assert right == pytest.approx(run.metrics["test/accuracy"], abs=1e-6)


@pytest.mark.parametrize("name", ["raster", "potentials", "curves", "confusion"])
def test_each_picture_is_the_one_on_disk_and_shown_inline(run: snnlab.Run, name: Any, tmp_path: Path) -> None:
    figure = run.plot(name)
    plots.save(figure, tmp_path / "now.png")
    assert (tmp_path / "now.png").read_bytes() == (run.folder / "plots" / f"{name}.png").read_bytes()
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: snnlab.train(neuron={"tua": 3}), "Did you mean tau?"),
        (lambda: snnlab.train("digits_lfi"), "Did you mean digits_lif?"),
        (lambda: snnlab.train(neuron="lfi"), "Did you mean lif?"),
        (lambda: snnlab.train(seed="1"), "seed: '1'"),
        (lambda: snnlab.train(**{"+seed": 1}), r"\+seed: it is no option"),
        (lambda: snnlab.train(seed=torch.tensor(1)), "seed: tensor"),
        (lambda: snnlab.train(neuron={"tau": 3}, **{"neuron.tau": 3}), "neuron.tau: it is given twice"),
        (lambda: snnlab.load("last").plot("rasters"), "Did you mean raster?"),  # type: ignore[arg-type]
        (lambda: snnlab.load("last").evaluate("tset"), "Did you mean test?"),
        (lambda: snnlab.load("last").evaluate(batchsize=3), "Did you mean batch_size?"),
        (lambda: snnlab.train(resume="last", seed=2), "seed: a run goes on as it began"),
    ],
)
def test_what_is_wrong_is_told_and_leaves_no_folder(run: snnlab.Run, wrong: Callable[[], Any], told: str) -> None:
    before = sorted(Path().rglob("*"))
    with pytest.raises(WrongOption, match=told):
        wrong()
    assert sorted(Path().rglob("*")) == before


def test_a_folder_of_any_name_is_the_folder_of_the_run(here: Path) -> None:
    name = "a, b=c ${seed} it's [1]"
    run = snnlab.train(output_dir=here / name, **QUICK)
    assert run.folder == here / name
    assert [path.name for path in here.iterdir()] == [name]


def test_quietly_it_says_nothing(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    snnlab.train(**QUICK)
    assert capfd.readouterr() == ("", "")


def test_of_threads_one_trains_at_a_time(run: snnlab.Run, here: Path) -> None:
    with ThreadPool(2) as pool:
        first, second = pool.map(lambda seed: snnlab.train(seed=seed, **QUICK), (1, 2))
    assert first.metrics == run.metrics != second.metrics
    assert first.folder != second.folder
    assert "seed 2" not in (first.folder / "log.txt").read_text()


def process() -> dict[str, Any]:
    """What a notebook would notice if a run left it changed."""
    loggers = [logging.getLogger(name) for name in (None, "snnlab", "pytorch_lightning", "lightning_fabric", "hydra")]
    return {
        "warnings": list(warnings.filters),
        "logging": [(logger.level, list(logger.handlers), list(logger.filters)) for logger in loggers],
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
        "random": (torch.random.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())),
        "torch": (torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled(), torch.get_default_dtype()),
        "matplotlib": dict(matplotlib.rcParams),
        "streams": (sys.stdout, sys.stderr),
        "words": (list(sys.argv), Path.cwd(), dict(os.environ)),
        "hydra": (GlobalHydra.instance().hydra, sorted(ConfigStore.instance().repo)),
    }


def test_nothing_is_left_behind_in_the_process(run: snnlab.Run, here: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pytorch_lightning")
    (here / "conf").mkdir()
    (here / "conf" / "theirs.yaml").write_text("neuron: mine\n")
    store = ConfigStore.instance()
    kept = store.repo
    store.repo = dict(kept)
    store.store(name="config", node={"seed": "theirs"})  # Hydra would hold our config.yaml against it
    with hydra.initialize_config_dir(str(here / "conf"), version_base="1.3"):
        before = process()
        other = snnlab.train(seed=1, **(QUICK | {"trainer": {"max_epochs": 1, "deterministic": True}}))
        other.evaluate()
        other.plot("confusion")
        with pytest.raises(WrongOption):
            snnlab.train(neuron="lfi")
        after = process()
        assert hydra.compose("theirs") == {"neuron": "mine"}
    store.repo = kept
    assert {name for name in before if before[name] != after[name]} == set()
    assert other.metrics == run.metrics


def test_ctrl_c_stops_a_run_that_can_go_on(run: snnlab.Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Training.on_train_epoch_start

    def interrupted(module: Training) -> None:
        begin(module)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "on_train_epoch_start", interrupted)
        with pytest.raises(KeyboardInterrupt, match="resume="):
            snnlab.train(seed=1, **QUICK)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (folder,) = (here / "runs" / "digits_lif").iterdir()
    with pytest.raises(BadData, match="evaluate"):
        snnlab.load(folder).metrics  # noqa: B018
    assert snnlab.train(resume=folder, quiet=True).metrics == run.metrics


def test_ctrl_c_is_a_keyboard_interrupt_whatever_lightning_makes_of_it() -> None:
    with pytest.raises(KeyboardInterrupt), surroundings_kept():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            sys.exit(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(SystemExit), surroundings_kept():
        sys.exit(1)


def test_a_run_goes_on_for_longer_and_lends_its_weights(here: Path) -> None:
    first = snnlab.train(seed=1, **QUICK)
    before = weights_of(first)
    longer = snnlab.train(resume=first, trainer={"max_epochs": 2}, quiet=True)
    assert (longer.folder, longer.result["epochs"]) == (first.folder, 2)
    assert longer.result["overrides"][-1] == "trainer.max_epochs=2"
    other = snnlab.train(weights=longer, freeze=["layers.0"], **QUICK)
    assert torch.equal(weights_of(other), weights_of(longer)) and not torch.equal(before, weights_of(longer))


def weights_of(run: snnlab.Run) -> torch.Tensor:
    weights = run.network.state_dict()["layers.0.synapse.weight"]
    assert isinstance(weights, torch.Tensor)
    return weights


def test_metrics_are_never_those_of_another_checkpoint(run: snnlab.Run) -> None:
    last = snnlab.load(run.folder / "checkpoints" / "last.ckpt")
    with pytest.raises(BadData, match="it is about"):
        last.metrics  # noqa: B018
    assert "last.ckpt" in repr(last)
    assert last.evaluate().keys() == run.evaluate().keys()


def test_a_checkpoint_alone_is_enough(run: snnlab.Run, here: Path) -> None:
    shutil.copy(run.checkpoint, here / "alone.ckpt")
    alone = snnlab.load("alone.ckpt")
    assert alone.evaluate() == run.evaluate()
    with pytest.raises(WrongOption, match="logger=csv"):
        alone.plot("curves")
    with pytest.raises(BadData, match="there is none that could be read"):
        alone.metrics  # noqa: B018


class Attack:
    """What runs when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def test_nothing_of_a_run_is_executed(run: snnlab.Run, here: Path) -> None:
    (here / "x.ckpt").write_bytes(pickle.dumps(Attack()))
    loaded = torch.load(run.checkpoint, weights_only=True)
    torch.save(loaded | {"snnlab": loaded["snnlab"] | {"inputs": Attack()}}, here / "y.ckpt")
    for name in ("x.ckpt", "y.ckpt"):
        with pytest.raises(BadData):
            snnlab.load(name)
    assert not (here / "ran").exists()


def test_a_checkpoint_that_does_not_say_its_sizes_is_refused(run: snnlab.Run, here: Path) -> None:
    loaded = torch.load(run.checkpoint, weights_only=True)
    for inputs in (None, [], [0], ["a"], [-1], [True]):
        torch.save(loaded | {"snnlab": loaded["snnlab"] | {"inputs": inputs}}, here / "x.ckpt")
        with pytest.raises((BadData, WrongOption)):
            snnlab.load("x.ckpt").network  # noqa: B018


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Runs a cell as a notebook does; what it registers is forgotten."""
    for family in registry.FAMILIES:
        registry.names(family)
    monkeypatch.setattr(registry, "_parts", {family: dict(parts) for family, parts in registry._parts.items()})
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)

    def run(source: str) -> None:
        name = f"<cell {len(linecache.cache)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec", dont_inherit=True), {"__name__": "__main__"})

    return run


def test_a_neuron_of_a_cell_may_be_changed_and_its_code_is_part_of_the_id(
    cell: Callable[[str], None], here: Path
) -> None:
    blocks = re.findall(r"^```python[^\n]*\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (source,) = [block for block in blocks if "class Adaptive(" in block]
    runs = []
    for text in (source, source, source.replace("- fallen", "- 0.9 * fallen")):
        cell(text)
        runs.append(snnlab.train(neuron="adaptive", **QUICK))
    assert runs[0].result["id"] == runs[1].result["id"] != runs[2].result["id"]
    assert runs[0].metrics == runs[1].metrics != runs[2].metrics


def test_several_devices_are_a_process_of_their_own(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apart: list[Any] = []
    monkeypatch.setattr(job, "_apart", lambda config, *_: apart.append(config["trainer"]) or {"best_checkpoint": ""})
    for trainer in ({"devices": 2}, {"strategy": "ddp"}, {"devices": 1, "num_nodes": 2}):
        job.run_job({"trainer": trainer}, [])
    assert len(apart) == 3
    monkeypatch.setattr(job, "_here", lambda config, *others: config["trainer"])
    assert job.run_job({"trainer": {}}, []) == {"devices": 1}


def test_looking_at_what_there_is_imports_nothing_heavy() -> None:
    program = "import sys, snnlab; snnlab.train, dir(snnlab), snnlab.Run; print([*{'torch', 'hydra'} & {*sys.modules}])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    with pytest.raises(AttributeError, match="trian"):
        snnlab.trian  # noqa: B018
