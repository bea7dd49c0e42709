"""`snnlab train`: what is wrong is told at once; what runs says nothing needless; several processes are as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import snnlab as package
from snnlab.training import table
from snnlab.training.folder import new_folder

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(package.__file__).parent.parent)}

WRONG = {
    "neuron.tua=3": "snnlab: neuron.tua: neuron lif has no such option. Did you mean tau?",
    "neuron=lfi": "Did you mean lif?",
    "neuron.tau=fast": "snnlab: neuron.tau: 'fast'",
    "neuron.tau=-1": "snnlab: neuron.tau: -1",
    "optimizer.lr=0": "snnlab: optimizer.lr: 0",
    "experiment=digits_lfi": "Did you mean digits_lif?",
    "sed=1": "Did you mean seed?",
    "trainer.max_epoch=3": "Did you mean max_epochs?",
}

SCRIPT = """
import contextlib, io, json, sys
from snnlab.commands import main
found = []
for word in json.loads(sys.argv[1]):
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        found.append([main(["train", word]), err.getvalue()])
print(json.dumps([found, [name for name in ("torch", "pytorch_lightning", "lightning_fabric") if name in sys.modules]]))
"""


def processes(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False)


def test_what_is_wrong_is_told_in_one_line_before_lightning_is_imported(tmp_path: Path) -> None:
    done = processes(tmp_path, "-c", SCRIPT, json.dumps(list(WRONG)))
    assert done.returncode == 0, done.stderr
    found, imported = json.loads(done.stdout)
    for (word, told), (code, err) in zip(WRONG.items(), found, strict=True):
        assert (code, err.count("\n")) == (2, 1), word
        assert told in err, word
    assert imported == ["torch"]
    assert not list(tmp_path.iterdir())


def test_a_typo_ends_the_process_with_exit_code_2_and_no_traceback(tmp_path: Path) -> None:
    done = processes(tmp_path, "-m", "snnlab", "train", "neuron.tua=3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == WRONG["neuron.tua=3"] + "\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--foo"], "train --foo: there is no such flag."),
        (["foo"], "train foo: it is no option."),
        (["seed=0,1"], "seed: several values. For a sweep over them add -m."),
        (["sweep_dir=x"], "sweep_dir: it is for sweeps."),
        (["-m", "seed=0,1", "output_dir=x"], "output_dir: each run of a sweep has its own folder"),
        (["--resolved", "nothing.yaml"], "train --resolved nothing.yaml: there is no such file."),
    ],
)
def test_words_that_are_no_options_are_told(snnlab: Callable[..., Any], words: list[str], told: str) -> None:
    ran = snnlab("train", *words)
    assert ran.code in (1, 2) and ran.err.count("\n") == 1
    assert told in ran.err


@pytest.mark.parametrize("text", ["", "3", "[1, 2]", "a: [", "seed: 0"])
def test_a_saved_configuration_that_is_none_is_told(snnlab: Callable[..., Any], tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    ran = snnlab("train", "--resolved", str(tmp_path / "config.yaml"))
    assert (ran.code, ran.err.count("\n")) == (1, 1)


def test_cfg_job_prints_the_configuration_and_runs_nothing(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    ran = snnlab("train", "--cfg", "job", "neuron.tau=5", "seed=3")
    config = yaml.safe_load(ran.out)
    assert (ran.code, config["neuron"]["tau"], config["seed"]) == (0, 5, 3)
    ran = snnlab("train", "-m", "--cfg", "job", "seed=0,1")
    assert [config["seed"] for config in yaml.safe_load_all(ran.out)] == [0, 1]
    assert not list(tmp_path.iterdir())


def test_a_run_starts_again_from_its_saved_configuration(
    snnlab: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    assert snnlab("train", *tiny, "output_dir=one").code == 0
    config = yaml.safe_load((tmp_path / "one" / "config.yaml").read_text())
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "config.yaml").write_text(yaml.safe_dump(config | {"output_dir": "two"}))
    (tmp_path / "two" / "overrides.txt").write_text("as before\n")
    assert snnlab("train", "--resolved", "two/config.yaml").code == 0
    assert (tmp_path / "one" / "metrics.csv").read_bytes() == (tmp_path / "two" / "metrics.csv").read_bytes()
    assert json.loads((tmp_path / "two" / "result.json").read_text())["overrides"] == ["as before"]


def test_without_a_folder_a_run_makes_one_of_its_own(
    snnlab: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    assert snnlab("train", *tiny, "trainer.max_epochs=1").code == 0
    (folder,) = (tmp_path / "runs" / "digits_lif").iterdir()
    assert (folder / "result.json").exists()


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [new_folder({"experiment": "digits_lif"}) for _ in range(20)]
    assert len(set(folders)) == len(list((tmp_path / "runs" / "digits_lif").iterdir())) == 20


def test_a_run_says_nothing_on_standard_error_where_every_warning_is_an_error(tmp_path: Path) -> None:
    words = ("trainer.max_epochs=2", "network.hidden=[32]", "output_dir=run")
    done = processes(tmp_path, "-W", "error", "-m", "snnlab", "train", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "arning" not in done.stdout
    assert (tmp_path / "run" / "result.json").exists()


def test_two_processes_give_the_losses_of_one_and_one_folder(
    snnlab: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    # A smooth network: of spikes, roundings turn one in a million over. Batches of 37 do not divide by two.
    words = (*tiny, "experiment=digits_ctrnn", "batch_size=37")
    done = processes(tmp_path, "-W", "error", "-m", "snnlab", "train", "trainer=ddp_cpu", *words)
    assert (done.returncode, done.stderr) == (0, "")
    (two,) = (tmp_path / "runs" / "digits_ctrnn").iterdir()
    assert snnlab("train", *words, "output_dir=one").code == 0
    rows = [table.read(folder / "metrics.csv") for folder in (tmp_path / "one", two)]
    results = [json.loads((folder / "result.json").read_text()) for folder in (tmp_path / "one", two)]
    for alone, both in zip(*rows, strict=True):
        assert both == pytest.approx(alone, rel=1e-6)
        for stage, samples in (("train", 1257), ("val", 180)):
            right = both[f"{stage}/accuracy"] * samples
            assert right == pytest.approx(round(right), abs=1e-3)  # a sample counted twice would leave a rest
    assert results[1]["metrics"] == pytest.approx(results[0]["metrics"], rel=1e-6)
    assert results[1]["id"] == results[0]["id"]
    log = (two / "log.txt").read_text()
    assert log.count("digits_ctrnn in ") == log.count("epoch 1/1") == 1
    ran = snnlab("evaluate", str(two), "--json")  # by one process, as it says
    metrics = {name: value for name, value in results[1]["metrics"].items() if name.startswith("test/")}
    assert json.loads(ran.out)["metrics"] == pytest.approx(metrics, rel=1e-6)
