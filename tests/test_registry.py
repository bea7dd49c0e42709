"""Parts by name: registration, look-up, building from plain data, and plugins."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from snnlab import registry, testing
from snnlab.errors import SnnlabError, WrongOption
from snnlab.neurons import LIF
from snnlab.options import first_line, settings
from snnlab.registry import build, check, get, names, register, snake_case, source_file

ROOT = Path(__file__).parent.parent
BATTERIES_OF_THEIR_OWN = ("neuron", "surrogate", "dataset")  # run elsewhere, one test a promise
EVERY_PART = [(family, name) for family in registry.FAMILIES for name in names(family)]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    """What a test registers or loads is gone after it."""
    monkeypatch.setattr(registry, "_parts", {family: dict(parts) for family, parts in registry._parts.items()})
    monkeypatch.setattr(registry, "_plugins", [])
    yield
    for name in [name for name in sys.modules if name.startswith("snnlab_plugin_")]:
        del sys.modules[name]


@pytest.fixture
def plugin(monkeypatch, tmp_path):
    """Write plugin files and name them in SNNLAB_PLUGINS, to be loaded at the next look-up."""

    def write(*sources, folder="."):
        paths = []
        for number, source in enumerate(sources):
            path = tmp_path / folder / f"plugin_{number}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)
            paths.append(path)
        monkeypatch.setenv("SNNLAB_PLUGINS", os.pathsep.join(map(str, paths)))
        monkeypatch.setattr(registry, "_plugins", None)
        return paths

    return write


FLAT = """
import torch
from snnlab.registry import register

@register("surrogate")
def {name}(x, *, height: float = 1.0):
    "The same everywhere."
    return height * torch.ones_like(x)
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LIF", "lif"),
        ("RateMSE", "rate_mse"),
        ("DigitsRows", "digits_rows"),
        ("CTRNN", "ctrnn"),
        ("MSELoss", "mse_loss"),
        ("Conv2d", "conv2d"),
        ("fast_sigmoid", "fast_sigmoid"),
        ("ALIF2Fast", "alif2_fast"),
    ],
)
def test_names_are_in_snake_case(name, expected):
    assert snake_case(name) == expected


def test_a_part_is_found_by_its_own_name_or_by_the_given_one():
    @register("surrogate")
    def flat(x):
        return torch.ones_like(x)

    @register("surrogate", "level")
    def other(x):
        return torch.ones_like(x)

    assert get("surrogate", "flat") is flat
    assert get("surrogate", "level") is other
    assert {"flat", "level"} <= set(names("surrogate"))
    assert names("surrogate") == sorted(names("surrogate"))


def test_two_parts_of_one_name_name_both_files(plugin):
    one, other = plugin(FLAT.format(name="flat"), FLAT.format(name="flat"))
    with pytest.raises(WrongOption) as error:
        names("surrogate")
    assert "surrogate flat is defined twice" in str(error.value)
    assert str(one) in str(error.value)
    assert str(other) in str(error.value)


def test_a_plugin_cannot_take_the_name_of_a_built_in_part(plugin):
    plugin(FLAT.format(name="atan"))
    with pytest.raises(
        WrongOption, match=r"surrogate atan is defined twice: in .*surrogates\.py and in .*plugin_0\.py"
    ):
        get("surrogate", "gaussian")
    assert registry._parts["surrogate"]["atan"].__module__ == "snnlab.surrogates"


def test_two_parts_of_one_name_in_one_file_are_refused():
    @register("surrogate", "flat")
    def one(x):
        return torch.ones_like(x)

    with pytest.raises(WrongOption, match="surrogate flat is defined twice"):

        @register("surrogate", "flat")
        def other(x):
            return torch.ones_like(x)


def test_a_part_may_be_defined_again_where_it_was():
    def define():
        @register("surrogate")
        def flat(x):
            return torch.ones_like(x)

        return flat

    define()
    assert define() is get("surrogate", "flat")


def test_a_cell_of_a_notebook_may_be_run_again():
    for cell in ("<ipython-input-1>", "<ipython-input-2>"):
        space = {"__name__": "__main__"}
        exec(compile(FLAT.format(name="flat"), cell, "exec"), space)
        assert get("surrogate", "flat") is space["flat"]


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (lambda: get("neuron", "lfi"), r"neuron=lfi: there is no neuron of that name\. Did you mean lif\?"),
        (lambda: get("surrogate", "arctan"), r"surrogate=arctan: .*Did you mean atan\?"),
        (lambda: get("gradient", "xyz"), r"gradient=xyz: .*There is .*bptt"),
        (lambda: names("neurons"), r"neurons: there is no family of that name\. Did you mean neuron\?"),
        (lambda: register("nueron"), r"register: 'nueron' is no family of parts\. Did you mean neuron\?"),
        (lambda: build("neuron", "lfi"), r"neuron=lfi"),
        (lambda: build("neuron", {"tau": 3.0}), r"neuron: \{'tau': 3\.0\}\. It takes the name of a part, or a dict"),
        (lambda: build("neuron", 3), r"neuron: 3\. It takes the name of a part"),
        (lambda: build("neuron", None), r"neuron: None\. It takes the name of a part"),
        (
            lambda: build("neuron", {"name": "lif", "tua": 3.0}),
            r"neuron\.tua: neuron lif has no such option\. Did you mean tau\?",
        ),
        (lambda: build("neuron", {"name": "lif", "dt": 3.0}), r"neuron\.dt: neuron lif has no such option"),
        (lambda: build("neuron", {"name": "lif", "tau": "3"}), r"neuron\.tau: '3'\. It takes a number in ms, > 0"),
        (
            lambda: build("neuron", {"name": "lif", "tau": -1.0}, where="layers.0.neuron"),
            r"layers\.0\.neuron\.tau: -1\.0",
        ),
        (
            lambda: build("neuron", {"name": "lif", "surrogate": {"name": "atan", "alhpa": 3.0}}),
            r"neuron\.surrogate\.alhpa: surrogate atan has no such option\. Did you mean alpha\?",
        ),
        (
            lambda: build("neuron", {"name": "lif", "surrogate": None}),
            r"neuron\.surrogate: null\. It takes the name of a surrogate",
        ),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest_name(look, message):
    with pytest.raises(WrongOption, match=message) as error:
        look()
    assert error.value.exit_code == 2


def test_a_part_is_built_from_a_name_a_dict_or_a_callable():
    assert build("neuron", "lif").tau == 20.0
    assert build("neuron", {"name": "lif", "tau": 3.0}, dt=0.5, steps=7).tau == 3.0
    assert build("neuron", {"name": "lif"}, dt=0.5, steps=7).dt == 0.5
    assert build("neuron", "lif", tau=99.0).tau == 20.0  # a run supplies what is marked so, and nothing else
    own = LIF(tau=4.0)
    assert build("neuron", own) is own
    x = torch.linspace(-1, 1, 5)
    assert torch.equal(build("surrogate", {"name": "atan", "alpha": 4.0})(x), get("surrogate", "atan")(x, alpha=4.0))


def test_parts_inside_parts_are_built_with_their_options():
    neuron = build("neuron", {"name": "lif", "surrogate": {"name": "triangle", "peak": 0.7}})
    assert neuron.surrogate(torch.zeros(())).item() == pytest.approx(0.7)
    assert isinstance(neuron.surrogate, functools.partial)
    assert build("neuron", "stbp").surrogate.func is get("surrogate", "rectangular")


def test_a_function_with_a_part_and_what_the_run_supplies(plugin):
    plugin("""
from snnlab.options import FromRun, Part
from snnlab.registry import register

@register("metric")
def folded(*, outputs: FromRun[int], dt: FromRun[float] = 1.0, inner_surrogate: Part = "atan", power: int):
    "All that it is given."
    return outputs, dt, inner_surrogate, power
""")
    outputs, dt, inner, power = build("metric", {"name": "folded", "power": 2}, outputs=10, seed=3)()
    assert (outputs, dt, power) == (10, 1.0, 2)
    assert inner.func is get("surrogate", "atan")
    with pytest.raises(WrongOption, match=r"metric\.power: metric folded needs it: a whole number"):
        check("metric", "folded")


def test_what_the_run_supplies_reaches_parts_inside_parts(plugin):
    plugin("""
import torch
from snnlab.options import FromRun
from snnlab.registry import register

@register("surrogate")
def by_steps(x, *, dt: FromRun[float], scale: float = 1.0):
    "As wide as a step is long."
    return torch.full_like(x, dt * scale)
""")
    neuron = build("neuron", {"name": "lif", "surrogate": {"name": "by_steps", "scale": 3.0}}, dt=0.5)
    assert neuron.surrogate(torch.zeros(())).item() == 1.5


def test_a_plugin_file_is_loaded_once_and_told_of(plugin):
    (path,) = plugin(FLAT.format(name="flat") + "\nprint('loaded')")
    assert registry.plugins() == [str(path)]
    first = get("surrogate", "flat")
    assert registry.plugins() == [str(path)]
    assert get("surrogate", "flat") is first
    assert source_file(first) == str(path)
    assert registry.plugin_folders() == [path.parent]


def test_a_class_of_a_plugin_file_can_be_pickled(plugin):
    import pickle

    plugin("""
from snnlab.neurons import LI
from snnlab.registry import register

@register("neuron")
class Slow(LI):
    "A leaky integrator, slower."
    tau = 200.0
""")
    neuron = pickle.loads(pickle.dumps(build("neuron", "slow")))
    assert neuron.tau == 200.0


def test_a_plugin_may_be_a_module(monkeypatch, tmp_path):
    (tmp_path / "outside_parts.py").write_text(FLAT.format(name="flat"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SNNLAB_PLUGINS", "outside_parts")
    monkeypatch.setattr(registry, "_plugins", None)
    assert "flat" in names("surrogate")
    assert registry.plugin_folders() == [tmp_path]
    del sys.modules["outside_parts"]


def test_an_entry_point_brings_parts(monkeypatch, tmp_path):
    (tmp_path / "entry_parts.py").write_text(FLAT.format(name="flat"))
    installed = tmp_path / "entry_parts-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: entry-parts\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[snnlab.plugins]\nmine = entry_parts\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_plugins", None)
    assert "flat" in names("surrogate")
    assert registry.plugins() == ["entry_parts"]
    assert registry.plugin_folders() == [tmp_path]
    del sys.modules["entry_parts"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "raise RuntimeError('no licence')",
            r"plugin .*plugin_0\.py: it could not be imported \(RuntimeError: no licence\)",
        ),
        ("def broken(:", r"plugin .*plugin_0\.py: it could not be imported \(SyntaxError"),
        ("import no_such_module", r"ModuleNotFoundError: No module named 'no_such_module'"),
        ("from snnlab.registry import register\nregister('nueron')", r"'nueron' is no family of parts"),
    ],
)
def test_a_plugin_that_raises_is_named_at_every_look_up(plugin, source, message):
    plugin(source)
    for _ in range(2):  # the second look-up must not go on without it
        with pytest.raises(WrongOption, match=message):
            names("surrogate")
    assert not [name for name in sys.modules if name.startswith("snnlab_plugin_")]


def test_a_missing_plugin_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SNNLAB_PLUGINS", str(tmp_path / "lost.py"))
    monkeypatch.setattr(registry, "_plugins", None)
    with pytest.raises(WrongOption, match=r"SNNLAB_PLUGINS: .*lost\.py: there is no such file"):
        names("surrogate")


def test_a_missing_plugin_module_is_named(monkeypatch):
    monkeypatch.setenv("SNNLAB_PLUGINS", "no_such_plugin")
    monkeypatch.setattr(registry, "_plugins", None)
    with pytest.raises(WrongOption, match=r"plugin no_such_plugin: it could not be imported \(ModuleNotFoundError"):
        names("surrogate")


def test_two_plugin_files_of_one_file_name_are_refused(plugin, monkeypatch):
    (one,) = plugin(FLAT.format(name="flat"), folder="a")
    (other,) = plugin(FLAT.format(name="level"), folder="b")
    monkeypatch.setenv("SNNLAB_PLUGINS", f"{one}{os.pathsep}{other}")
    with pytest.raises(WrongOption, match=r"a.plugin_0\.py and .*b.plugin_0\.py have one name"):
        names("surrogate")


def test_a_plugin_may_look_up_parts_while_it_is_loaded(plugin):
    plugin("from snnlab.registry import names\nFOUND = names('surrogate')")
    assert "atan" in names("surrogate")


def test_a_new_process_has_the_parts_of_its_plugins(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text('from snnlab.registry import register\n\n@register("metric")\ndef mine():\n    "Mine."\n')
    run = subprocess.run(
        [sys.executable, "-c", "from snnlab import registry; print(*registry.names('metric'))"],
        env={**os.environ, "SNNLAB_PLUGINS": str(path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "mine" in run.stdout.split()


@pytest.mark.parametrize(("family", "name"), EVERY_PART)
def test_every_part_is_documented_and_so_is_each_of_its_options(family, name):
    part = get(family, name)
    assert part.__doc__, "no docstring of its own"
    assert first_line(part)
    assert [option.name for option in settings(part).values() if not option.help] == []


@pytest.mark.parametrize(("family", "name"), [pair for pair in EVERY_PART if pair[0] not in BATTERIES_OF_THEIR_OWN])
def test_every_part_keeps_the_promises_of_its_family(family, name):
    found = testing.results(family, name)
    assert len(found) >= len(testing.general.CHECKS)
    assert [f"{result.name}: {result.reason}" for result in found if not result.ok] == []


def test_the_results_of_a_neuron_say_what_holds_and_what_does_not(plugin):
    plugin("""
from snnlab.neurons import LI, decay
from snnlab.registry import register

@register("neuron")
class Careless(LI):
    "A leaky integrator that forgets the length of a step."

    gain: float = 1.0

    def constants(self):
        return {"alpha": decay(1.0, self.tau)}
""")
    broken = {result.name: result.reason for result in testing.results("neuron", "careless") if not result.ok}
    assert set(broken) == {
        "every option has a help text",
        "no option is without effect",
        "the state decays by milliseconds",
    }
    assert "gain" in broken["every option has a help text"]
    assert "gain has no effect" in broken["no option is without effect"]
    assert "potential decays by" in broken["the state decays by milliseconds"]


def test_the_results_of_a_part_that_cannot_be_built_say_why(plugin):
    plugin("""
from snnlab.parts import Declared
from snnlab.registry import register

@register("readout")
class Doubtful(Declared):
    "It cannot be built."

    def __init__(self, **given):
        raise RuntimeError("not today")
""")
    broken = {result.name: result.reason for result in testing.results("readout", "doubtful") if not result.ok}
    assert broken["it builds from its defaults"] == "RuntimeError: not today"


def test_results_of_a_part_that_does_not_exist_are_refused():
    with pytest.raises(SnnlabError, match="Did you mean lif"):
        testing.results("neuron", "lfi")
