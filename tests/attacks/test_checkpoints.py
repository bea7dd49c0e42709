"""Hostile checkpoints: nothing in them is executed, imported or made, whoever opens them."""

from __future__ import annotations

import math
import os
import pickle
import re
import sys
import types
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlab.training.checkpoint import load

CODE = "import os, canary; os.system('true'); open('canary.txt', 'w')"


class Runs:
    """A pickle of it runs code when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (CODE,)


class Calls:
    """A pickle of it calls something when it is opened."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def checkpoints(run: Path) -> list[Path]:
    """Both checkpoints of a run, which is no longer done: whatever goes on with it opens them."""
    (run / "result.json").unlink(missing_ok=True)
    return sorted((run / "checkpoints").glob("*.ckpt"))


def forge(run: Path, change: Callable[[dict[str, Any]], object], **options: Any) -> None:
    """Save checkpoints with a change."""
    for path in checkpoints(run):
        loaded = torch.load(path, weights_only=False)
        change(loaded)
        torch.save(loaded, path, **options)


def rewrite(run: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Write the records of checkpoints anew."""
    for path in checkpoints(run):
        with zipfile.ZipFile(path) as archive:
            records = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive:
            for name, content in records.items():
                archive.writestr(name, change(name.partition("/")[2], content))


def describe(run: Path, words: bytes) -> None:
    """Put a pickle in the place of the description of the data."""
    rewrite(run, lambda name, content: words if name == "data.pkl" else content)


def code_beside_the_weights(run: Path) -> None:
    forge(run, lambda loaded: loaded.update(more=Runs()))


def code_in_hyper_parameters(run: Path) -> None:
    forge(run, lambda loaded: loaded.update(hyper_parameters={"lr": Runs()}))


def code_in_the_state_of_a_callback(run: Path) -> None:
    forge(run, lambda loaded: loaded["callbacks"].update(Evil=Runs()))


def code_in_the_state_of_the_optimizer(run: Path) -> None:
    forge(run, lambda loaded: loaded["optimizer_states"].append(Runs()))


def code_in_the_configuration(run: Path) -> None:
    forge(run, lambda loaded: loaded["snnlab"]["config"].update(neuron=Runs()))


def code_in_the_form_of_old_versions(run: Path) -> None:
    forge(run, lambda loaded: loaded.update(more=Runs()), _use_new_zipfile_serialization=False)


def a_bare_pickle_with_code(run: Path) -> None:
    for path in checkpoints(run):
        path.write_bytes(pickle.dumps(Runs()))


def an_object_whose_module_lies_in_the_working_folder(run: Path) -> None:
    module = types.ModuleType("canary")
    module.Thing = type("Thing", (), {"__module__": "canary", "__qualname__": "Thing"})  # type: ignore[attr-defined]
    sys.modules["canary"] = module
    try:
        forge(run, lambda loaded: loaded.update(more=module.Thing()))
    finally:
        del sys.modules["canary"]


def a_codec_that_would_be_imported(run: Path) -> None:
    import _codecs

    forge(run, lambda loaded: loaded.update(more=Calls(_codecs.encode, "x", "punycode")))


def bytes_by_the_terabyte(run: Path) -> None:
    forge(run, lambda loaded: loaded.update(more=Calls(bytearray, 1 << 33)))


def a_tensor_made_on_the_spot(run: Path) -> None:
    forge(run, lambda loaded: loaded.update(more=Calls(torch.FloatTensor, (1 << 31,))))


def a_zip_bomb(run: Path) -> None:
    largest = max(_sizes(run).items(), key=lambda item: item[1])[0]
    rewrite(run, lambda name, old: bytes(1 << 28) if name == largest else old, zipfile.ZIP_DEFLATED)


def a_zip_bomb_of_names(run: Path) -> None:
    """The description itself, compressed: lists in lists."""
    rewrite(run, lambda name, old: b"\x80\x02" + b"]" * (1 << 27) if name == "data.pkl" else old, zipfile.ZIP_DEFLATED)


def a_storage_that_claims_more_than_its_record(run: Path) -> None:
    def change(old: bytes) -> bytes:
        # In the description: "cpu", then the count, as one byte behind K or two behind M, then the end of the tuple.
        found = re.search(rb"cpuq.(K.|M..)t", old, re.DOTALL)
        assert found is not None
        return old[: found.start(1)] + b"J" + (1 << 30).to_bytes(4, "little") + old[found.end(1) :]

    rewrite(run, lambda name, old: change(old) if name == "data.pkl" else old)


def a_tensor_of_strides_zero(run: Path) -> None:
    weight = torch.zeros(1).expand(1 << 40)
    forge(run, lambda loaded: loaded["optimizer_states"][0]["state"][0].update(exp_avg=weight))


def a_sparse_tensor_of_terabytes(run: Path) -> None:
    weight = torch.sparse_coo_tensor(
        torch.zeros(1, 1, dtype=torch.long), torch.ones(1), (1 << 50,), check_invariants=True
    )
    forge(run, lambda loaded: loaded["state_dict"].update({"network.layers.0.synapse.weight": weight}))


def lists_very_deep(run: Path) -> None:
    describe(run, b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".")


def a_list_that_multiplies(run: Path) -> None:
    """Sixty lists, each of them twice the one before."""
    doubled = b"".join(b"](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(60))
    describe(run, b"\x80\x02]q\x00" + doubled + b".")


def a_list_that_holds_itself(run: Path) -> None:
    describe(run, b"\x80\x02]q\x00h\x00a.")


def a_program_of_torchscript(run: Path) -> None:
    for path in checkpoints(run):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("archive/constants.pkl", pickle.dumps(Runs(), protocol=2))


def weights_that_are_none(run: Path) -> None:
    forge(run, lambda loaded: loaded["state_dict"].update({"network.layers.0.synapse.weight": "text"}))


def control_characters_in_a_name(run: Path) -> None:
    forge(run, lambda loaded: loaded["state_dict"].update({"\x1b]0;evil\x07\n": torch.zeros(1)}))


def a_link_to_a_device_without_end(run: Path) -> None:
    for path in checkpoints(run):
        path.unlink()
        path.symlink_to("/dev/zero")


def a_pipe_that_nobody_writes_to(run: Path) -> None:
    for path in checkpoints(run):
        path.unlink()
        os.mkfifo(path)


def _sizes(run: Path) -> dict[str, int]:
    with zipfile.ZipFile(run / "checkpoints" / "best.ckpt") as archive:
        return {entry.filename.partition("/")[2]: entry.file_size for entry in archive.infolist()}


WITH_CODE = [
    code_beside_the_weights,
    code_in_hyper_parameters,
    code_in_the_state_of_a_callback,
    code_in_the_state_of_the_optimizer,
    code_in_the_configuration,
    code_in_the_form_of_old_versions,
    a_bare_pickle_with_code,
    an_object_whose_module_lies_in_the_working_folder,
    a_codec_that_would_be_imported,
]
CLAIMS = [
    bytes_by_the_terabyte,
    a_tensor_made_on_the_spot,
    a_zip_bomb,
    a_zip_bomb_of_names,
    a_storage_that_claims_more_than_its_record,
    a_tensor_of_strides_zero,
    a_sparse_tensor_of_terabytes,
    lists_very_deep,
    a_list_that_multiplies,
    a_list_that_holds_itself,
    a_program_of_torchscript,
    weights_that_are_none,
    control_characters_in_a_name,
]

QUICK = ("evaluate", "resume", "resolved", "load")
"""What looks at a checkpoint before anything else; a new run is composed first, which takes longer."""


@pytest.mark.parametrize("attack", WITH_CODE)
def test_a_checkpoint_with_code_is_refused_and_nothing_of_it_runs(attack: Any, refused: Any) -> None:
    for opened in refused(attack, QUICK).values():
        assert "so it was not opened" in opened.err or "it is damaged" in opened.err


@pytest.mark.parametrize("attack", [code_beside_the_weights, code_in_the_form_of_old_versions, a_zip_bomb])
def test_a_new_run_begins_neither_over_a_hostile_checkpoint_nor_with_its_weights(attack: Any, refused: Any) -> None:
    for opened in refused(attack, ["again", "weights"]).values():
        assert "checkpoint " in opened.err


@pytest.mark.parametrize("attack", CLAIMS)
def test_a_checkpoint_that_claims_more_than_it_has_is_refused_before_it_gets_it(attack: Any, refused: Any) -> None:
    for opened in refused(attack, QUICK).values():
        assert "checkpoint " in opened.err


def test_all_that_a_run_may_save_is_read(tmp_path: Path) -> None:
    kinds = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128, torch.bool]
    kinds += [torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.int64, torch.float8_e4m3fn]
    base = torch.arange(12.0)
    saved = {
        "snnlab": {
            "counts": Counter([1, 1, 2]),
            "sets": {1, 2},
            "long": 2**200,
            "text": "a\nü\U0001f600",
            "inf": -math.inf,
        },
        "state_dict": {str(kind): torch.ones(3).to(kind) for kind in kinds}
        | {"a view": base.reshape(3, 4).t()[1:, ::2], "a scalar": torch.tensor(1.0), "nothing": torch.zeros(0, 3)}
        | {"expanded": torch.ones(1).expand(7), "parameter": torch.nn.Parameter(torch.ones(2)), "part": base[3:5]},
    }
    torch.save(saved, tmp_path / "x.ckpt")
    loaded = load(tmp_path / "x.ckpt")
    assert loaded["snnlab"] == saved["snnlab"]
    assert all(torch.equal(loaded["state_dict"][name], value) for name, value in saved["state_dict"].items())


@pytest.mark.parametrize("attack", [a_link_to_a_device_without_end, a_pipe_that_nobody_writes_to])
def test_a_checkpoint_that_is_no_file_is_not_waited_for(attack: Any, refused: Any) -> None:
    for opened in refused(attack, ["evaluate", "weights", "load"]).values():
        assert "it holds no checkpoint" in opened.err


@pytest.mark.parametrize("attack", WITH_CODE)
def test_the_same_code_runs_where_a_checkpoint_is_opened_carelessly(
    attack: Any, watched: Any, twin: Path, tmp_path: Path
) -> None:
    attack(twin)
    (tmp_path / "canary.py").write_text("class Thing: pass\n")
    opened = watched.open("careless", "torch", str(twin / "checkpoints" / "last.ckpt"), cwd=str(tmp_path))
    assert any(word in event for event in opened.counted for word in ("canary", "os.system", "encodings"))
