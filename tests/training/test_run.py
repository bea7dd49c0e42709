"""A run from its configuration to its folder."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snnlab.losses import CountCrossEntropy
from snnlab.registry import register
from snnlab.training import checkpoint, table

README = Path(__file__).parent.parent.parent / "README.md"
KEYS = ("status", "id", "metrics", "best_checkpoint", "best_epoch", "seconds", "epochs", "seed", "versions", "git")
NUMBERS = ("loss", "accuracy", "rate/0", "silent/0", "rate/1", "silent/1")


def weights(folder: Path, name: str = "best.ckpt") -> dict[str, Tensor]:
    state: dict[str, Tensor] = checkpoint.load(folder / "checkpoints" / name)["state_dict"]
    return state


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def evaluated(snnlab: Callable[..., Any], *words: str) -> dict[str, float]:
    ran = snnlab("evaluate", *words, "--json")
    assert ran.code == 0, ran.err
    metrics: dict[str, float] = json.loads(ran.out)["metrics"]
    return metrics


def of_stage(metrics: dict[str, float], stage: str) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith(f"{stage}/")}


def test_a_run_leaves_exactly_the_files_of_the_readmes_table(finished: Path) -> None:
    section = README.read_text(encoding="utf-8").partition("## What a run leaves behind")[2]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    promised = {Path(name.rstrip("/")) for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    promised = {Path("checkpoints/last.ckpt") if path.name == "last.ckpt" else path for path in promised}
    left = {path.relative_to(finished) for path in finished.rglob("*") if path.is_file()}
    pictures = {path for path in left if path.parts[0] == "plots"}
    of_other_loggers = {Path("wandb"), Path("wandb.json"), Path("tensorboard")}
    assert left - pictures | {Path("plots")} | of_other_loggers == promised
    assert {path.name for path in pictures} == {"raster.png", "potentials.png", "curves.png", "confusion.png"}


def test_result_json_is_complete(finished: Path, result: Callable[[Path], dict[str, Any]]) -> None:
    found = result(finished)
    assert tuple(found) == (*KEYS, "device", "overrides", "monitor", "mode", "plugins", "config")
    assert (found["monitor"], found["mode"]) == ("val/accuracy", "max")
    assert (found["status"], found["epochs"], found["seed"]) == ("completed", 2, 0)
    assert list(found["metrics"]) == [f"{stage}/{name}" for stage in ("val", "test") for name in NUMBERS]
    assert all(isinstance(value, float) for value in found["metrics"].values())
    assert (finished / found["best_checkpoint"]).is_file()


def test_result_json_is_written_last(train: Callable[..., Path], tmp_path: Path) -> None:
    seen: list[set[str]] = []

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "snnlab evaluate" in record.getMessage():
                seen.append({path.name for path in (tmp_path / "run").iterdir()})

    watch = Watch()
    logging.getLogger("snnlab").addHandler(watch)
    try:
        folder = train("plots=true")
    finally:
        logging.getLogger("snnlab").removeHandler(watch)
    assert [{path.name for path in folder.iterdir()} - left for left in seen] == [{"result.json"}]


def test_the_configuration_and_what_was_changed_are_kept(finished: Path) -> None:
    assert (finished / "overrides.txt").read_text().splitlines()[:2] == ["trainer.max_epochs=2", "network.hidden=[32]"]
    assert "tau: 10.0" in (finished / "config.yaml").read_text()


def test_the_same_seed_gives_the_same_bits_twice_and_another_seed_others(train: Callable[..., Path]) -> None:
    one, two, other = train(name="one"), train(name="two"), train("seed=1", name="other")
    assert same(weights(one, "last.ckpt"), weights(two, "last.ckpt"))
    assert (one / "metrics.csv").read_bytes() == (two / "metrics.csv").read_bytes()
    assert not same(weights(one, "last.ckpt"), weights(other, "last.ckpt"))


def test_the_same_seed_gives_the_same_bits_with_random_spikes_at_the_input(train: Callable[..., Path]) -> None:
    words = ("experiment=digits_stbp", "trainer.max_epochs=1")
    torch.manual_seed(1)
    one = train(*words, name="one")
    torch.manual_seed(2)  # no part touches the global generator
    assert same(weights(one), weights(train(*words, name="two")))


def test_pictures_do_not_change_numbers(
    train: Callable[..., Path], finished: Path, result: Callable[[Path], dict[str, Any]]
) -> None:
    without = train("plots=false")
    assert not (without / "plots").exists()
    assert same(weights(without), weights(finished))
    assert result(without)["metrics"] == result(finished)["metrics"]


@pytest.mark.parametrize("monitor", ["val/accuracy", "val/loss", "train/loss"])
def test_the_best_epoch_has_the_highest_accuracy_or_the_lowest_loss(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]], monitor: str
) -> None:
    # So large a rate that it goes up and down.
    folder = train(f"monitor={monitor}", "trainer.max_epochs=6", "optimizer.lr=0.1")
    numbers = [row[monitor] for row in table.read(folder / "metrics.csv")]
    best = max(numbers) if "accuracy" in monitor else min(numbers)
    assert result(folder)["best_epoch"] == max(i for i, number in enumerate(numbers) if number == best)
    assert min(numbers) != max(numbers)


def test_of_equally_good_epochs_the_later_one_is_chosen(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]]
) -> None:
    folder = train("optimizer.lr=1e-30", "trainer.max_epochs=3")  # no weight moves
    assert result(folder)["best_epoch"] == 2
    assert checkpoint.load(folder / "checkpoints" / "best.ckpt")["epoch"] == 2


def test_the_weights_of_the_best_epoch_are_the_ones_tested(
    snnlab: Callable[..., Any], train: Callable[..., Path], result: Callable[[Path], dict[str, Any]]
) -> None:
    folder = train("monitor=val/rate/1")  # least in the first epoch: the network learns to fire
    found = result(folder)
    assert found["best_epoch"] == 0
    assert not same(weights(folder), weights(folder, "last.ckpt"))
    row = table.read(folder / "metrics.csv")[0]
    assert {name: row[name] for name in of_stage(row, "val")} == of_stage(found["metrics"], "val")
    assert evaluated(snnlab, str(folder / "checkpoints" / "best.ckpt")) == of_stage(found["metrics"], "test")
    assert evaluated(snnlab, str(folder / "checkpoints" / "last.ckpt")) != of_stage(found["metrics"], "test")


@pytest.mark.parametrize(
    ("words", "best"),
    [
        (("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3"), 1),
        (("trainer.max_steps=25",), 0),  # the second epoch ends after 5 of 20 steps, without a validation
        (("trainer.val_check_interval=0.3", "trainer.max_epochs=1", "trainer.limit_train_batches=10"), 0),
    ],
    ids=["every_second_epoch", "a_part_of_an_epoch", "several_times_an_epoch"],
)
def test_only_epochs_that_end_with_a_validation_can_be_the_best(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]], words: tuple[str, ...], best: int
) -> None:
    folder = train(*words)
    assert result(folder)["best_epoch"] == best


def test_an_epoch_is_not_judged_by_the_numbers_of_other_weights(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]]
) -> None:
    found = result(train("trainer.val_check_interval=0.3"))  # after 6, 12 and 18 of 20 steps
    assert found["best_checkpoint"] == "checkpoints/last.ckpt"
    assert not of_stage(found["metrics"], "val")


def test_a_run_without_validation_tests_the_last_epoch(
    snnlab: Callable[..., Any], train: Callable[..., Path], tmp_path: Path, result: Callable[[Path], dict[str, Any]]
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "best.ckpt").write_bytes(b"of an earlier run that was killed")
    folder = train("trainer.limit_val_batches=0.0")
    found = result(folder)
    assert (found["best_checkpoint"], found["best_epoch"]) == ("checkpoints/last.ckpt", 1)
    assert evaluated(snnlab, str(folder)) == found["metrics"]
    assert "no epoch ended with a new val/accuracy" in (folder / "log.txt").read_text()


def test_a_first_epoch_that_is_not_a_number_on_val_is_not_the_best_for_ever(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]], own_parts: None
) -> None:
    from torchmetrics.aggregation import SumMetric

    class Late(SumMetric):
        """NaN at first, then numbers."""

        computed = 0

        def update(self, scores: Tensor, targets: Tensor) -> None:
            super().update(1.0)

        def compute(self) -> Tensor:
            Late.computed += 1
            return torch.tensor(float("nan") if Late.computed < 3 else 1.0)  # val and train of the first epoch

    register("metric", "late")(lambda: Late())
    assert result(train("metric=[late]", "trainer.max_epochs=2"))["best_epoch"] == 1


def test_a_loss_that_is_not_a_number_ends_the_run_in_one_sentence(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    parts = ("neuron=ctrnn", "output_neuron=linear", "loss=membrane_cross_entropy", "optimizer=sgd")
    ran = snnlab("train", *parts, "optimizer.lr=1e38", "network.hidden=[32]", "output_dir=run")
    assert ran.code == 1
    assert re.fullmatch(r"snnlab: epoch 0, step 1: the loss is nan\. .*optimizer\.lr.*\n", ran.err)
    assert "the loss is nan" in (tmp_path / "run" / "log.txt").read_text()
    assert not (tmp_path / "run" / "result.json").exists()
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_weights_that_are_not_numbers_are_never_saved(
    snnlab: Callable[..., Any], tmp_path: Path, own_parts: None
) -> None:
    steps = iter(range(10_000))

    @register("loss")
    class Broken(CountCrossEntropy):
        """From the second epoch on its gradient is NaN, its value not: a unit with NaN weights is silent."""

        def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
            late = outputs.requires_grad and next(steps) >= 25
            return super().__call__(outputs, target, mask) + ((outputs * 0).sum().sqrt() if late else 0)

    ran = snnlab("train", "loss=broken", "trainer.max_epochs=3", "network.hidden=[32]", "output_dir=run")
    assert ran.code == 1
    assert "epoch 1" in ran.err and "the weight network" in ran.err
    assert not (tmp_path / "run" / "result.json").exists()
    for name, epoch in (("best.ckpt", 0), ("last.ckpt", 1)):  # of the first epoch, and after it
        loaded = checkpoint.load(tmp_path / "run" / "checkpoints" / name)
        assert loaded["epoch"] == epoch
        assert all(value.isfinite().all() for value in loaded["state_dict"].values())


def test_a_part_that_fails_leaves_its_traceback_in_the_log(
    snnlab: Callable[..., Any], tmp_path: Path, own_parts: None
) -> None:
    @register("loss")
    class Failing(CountCrossEntropy):
        def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
            raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        snnlab("train", "loss=failing", "network.hidden=[32]", "output_dir=run")
    assert 'raise RuntimeError("of its own")' in (tmp_path / "run" / "log.txt").read_text()


def test_a_folder_with_the_same_finished_run_is_left_as_it_is(
    snnlab: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    ran = snnlab("train", "trainer.max_epochs=2", "network.hidden=[32]", f"output_dir={finished}")
    assert ran.code == 0
    assert "this run is done" in ran.out
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_folder_with_another_finished_run_is_refused(snnlab: Callable[..., Any], finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    ran = snnlab("train", "trainer.max_epochs=3", "network.hidden=[32]", f"output_dir={finished}")
    assert ran.code == 2
    assert ran.err == (
        f"snnlab: output_dir: {finished} holds another run, which is done. Choose another folder, or remove that one.\n"
    )
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_damaged_result_json_is_told(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"id": ')
    ran = snnlab("train", f"output_dir={tmp_path}")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "result.json: it cannot be read" in ran.err


@pytest.mark.parametrize("below", ["", "/deeper", "/" + 300 * "x"], ids=["a_file", "below_a_file", "too_long"])
def test_a_folder_that_cannot_be_written_to_is_told(snnlab: Callable[..., Any], tmp_path: Path, below: str) -> None:
    (tmp_path / "taken").write_text("a file")
    ran = snnlab("train", f"output_dir={tmp_path / 'taken'}{below}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert re.match(r"snnlab: output_dir: \S*taken\S* cannot be written to", ran.err)


def test_data_that_is_not_there_is_told_with_the_script_that_gets_it(snnlab: Callable[..., Any]) -> None:
    ran = snnlab("train", "experiment=mnist_stbp", "output_dir=run")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "scripts/fetch_data.py mnist" in ran.err


def test_data_that_is_damaged_is_told(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    for part in ("train", "t10k"):
        for what in ("images-idx3", "labels-idx1"):
            (tmp_path / f"{part}-{what}-ubyte").write_bytes(b"\x00\x00\x08\x01 cut")
    ran = snnlab("train", "experiment=mnist_stbp", f"dataset.folder={tmp_path}", "output_dir=run")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "ubyte" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("trainer.precision=bf16-mixed",),
        ("trainer.precision=64-true",),
        ("trainer.fast_dev_run=true", "plots=true"),
        ("trainer.max_steps=5",),
        ("trainer.overfit_batches=2",),
        ("trainer.limit_test_batches=0", "plots=true"),
        ("batch_size=5000",),
    ],
    ids="-".join,
)
def test_a_run_with_this_option_of_lightning_ends_well(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]], words: tuple[str, ...]
) -> None:
    assert result(train(*words))["status"] == "completed"


def test_a_deterministic_run_ends_well(train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # Lightning sets it for good
    try:
        assert (train("trainer.deterministic=true") / "result.json").exists()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("word", "code", "told"),
    [
        ("trainer.max_epochs=0", 1, "no epoch was trained"),
        ("trainer.limit_train_batches=0", 1, "no epoch was trained"),
        ("trainer.overfit_batches=0.1", 2, "trainer: Lightning refuses it"),
        ("trainer.limit_test_batches=0.1", 2, "test_dataloader"),
        ("trainer.gradient_clip_algorithm=foo", 2, "gradient_clip_algorithm"),
        ("trainer.strategy=foo", 2, "strategy"),
        ("trainer.accelerator=tpu", 2, "torch_xla"),
        ("trainer.devices=0", 2, "devices=0"),
        ("monitor=val/acuracy", 2, "Did you mean val/accuracy?"),
        ("monitor=val/rate/7", 2, "monitor: val/rate/7. The layers that fire have other names."),
        ("metric.accuracy.top_k=11", 2, "There are 10 outputs"),
        ("metric=[mse]", 2, "metric=mse: it cannot compare scores (180, 10) with targets (180,)"),
        ("encoder=delta", 2, "encoder=delta: it takes series"),
    ],
)
def test_a_run_that_cannot_be_is_told_in_one_sentence(
    snnlab: Callable[..., Any], tmp_path: Path, word: str, code: int, told: str
) -> None:
    words = [word] if "max_epochs" in word else [word, "trainer.max_epochs=1"]
    ran = snnlab("train", *words, "network.hidden=[32]", "output_dir=run")
    assert (ran.code, ran.err.count("\n")) == (code, 1)
    assert told in ran.err
    assert not (tmp_path / "run" / "result.json").exists()


def test_clipped_gradients_give_other_weights(train: Callable[..., Path], finished: Path) -> None:
    assert not same(weights(train("trainer.gradient_clip_val=0.1")), weights(finished))


def test_gathered_gradients_make_fewer_steps(train: Callable[..., Path]) -> None:
    folder = train("trainer.accumulate_grad_batches=3", "trainer.max_epochs=1")
    assert checkpoint.load(folder / "checkpoints" / "last.ckpt")["global_step"] == 7  # of 20 batches


def test_without_a_logger_there_is_no_table_and_the_result_is_the_same(
    train: Callable[..., Path], finished: Path, tmp_path: Path, result: Callable[[Path], dict[str, Any]]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.csv").write_text("of an earlier run that was killed")
    folder = train("logger=none", "plots=true")
    assert not (folder / "metrics.csv").exists()
    assert result(folder)["metrics"] == result(finished)["metrics"]


def test_several_metrics_are_computed_and_the_first_picks_the_epoch(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]], own_parts: None
) -> None:
    from torchmetrics.classification import MulticlassAccuracy

    register("metric", "error")(lambda: _Error())

    class _Error(MulticlassAccuracy):
        higher_is_better = False

        def __init__(self) -> None:
            super().__init__(10, average="micro")

        def compute(self) -> Tensor:
            return 1 - super().compute()

    found = result(train("metric=[error,accuracy]"))
    assert found["metrics"]["val/error"] == pytest.approx(1 - found["metrics"]["val/accuracy"], abs=1e-6)
    assert found["best_epoch"] == 1  # where the error is least
    assert (found["monitor"], found["mode"]) == ("val/error", "min")
