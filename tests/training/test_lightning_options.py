"""The Trainer's arguments as options, read from Lightning's source without importing it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from snnlab.errors import WrongOption
from snnlab.training import lightning_options as module
from snnlab.training.lightning_options import OURS, lightning_options

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def parameters() -> dict[str, inspect.Parameter]:
    import pytorch_lightning as pl

    return dict(list(inspect.signature(pl.Trainer.__init__).parameters.items())[1:])


def test_every_argument_of_the_trainer_is_an_option_or_is_set_by_the_run(parameters):
    assert set(lightning_options()) | set(OURS) == set(parameters)
    assert not set(lightning_options()) & set(OURS)


def test_every_option_has_the_default_of_its_argument(parameters):
    assert {name: option.default for name, option in lightning_options().items()} == {
        name: parameter.default for name, parameter in parameters.items() if name not in OURS
    }


def test_every_default_passes_its_own_check():
    for name, option in lightning_options().items():
        option.check(option.default, f"trainer.{name}")


def test_every_option_has_a_help_text_of_one_sentence():
    for name, option in lightning_options().items():
        assert 10 < len(option.help) < 400, name
        assert "\n" not in option.help
        assert not option.help.startswith("Default"), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epochs", 3),
        ("max_epochs", None),
        ("devices", "auto"),
        ("devices", 2),
        ("devices", [0, 1]),
        ("gradient_clip_val", 0.5),
        ("limit_train_batches", 10),
        ("limit_train_batches", 0.5),
        ("precision", "bf16-mixed"),
        ("deterministic", "warn"),
        ("deterministic", True),
        ("max_time", {"hours": 1}),
        ("max_time", "00:01:00:00"),
    ],
)
def test_values_that_the_trainer_takes_pass(name, value):
    lightning_options()[name].check(value, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epochs", "3"),
        ("max_epochs", 1.5),
        ("devices", {"a": 1}),
        ("gradient_clip_val", "high"),
        ("detect_anomaly", "yes"),
        ("log_every_n_steps", True),
    ],
)
def test_values_of_another_type_are_refused(name, value):
    with pytest.raises(WrongOption, match=f"trainer.{name}: "):
        lightning_options()[name].check(value, f"trainer.{name}")


def test_reading_them_imports_neither_lightning_nor_torch():
    program = (
        "import sys; from snnlab.training.lightning_options import lightning_options; lightning_options();"
        "print(*[name for name in ('torch', 'pytorch_lightning', 'lightning_fabric') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_without_lightning_the_error_says_so(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(WrongOption, match="pytorch-lightning is not installed"):
        module._source()
