"""What is wrong on a command line or in a file is told in one sentence: the option, what came, what it takes."""

from __future__ import annotations

import pytest

from snnlab.errors import WrongOption

NUMBER = "It takes a number in ms, > 0, or a list of them. The default is 20.0."

WRONG = {
    # a part, an option, a value
    "neuron.tua=3": "neuron.tua: neuron lif has no such option. Did you mean tau?",
    "neuron=lfi": "neuron=lfi: there is no neuron of that name. Did you mean lif?",
    "neuron.tau=fast": f"neuron.tau: 'fast'. {NUMBER}",
    "neuron.tau=-1": f"neuron.tau: -1. {NUMBER}",
    "neuron.tau=\"'3'\"": f"neuron.tau: '3'. {NUMBER}",
    "neuron.surrogate=atn": "neuron.surrogate=atn: there is no surrogate of that name. Did you mean atan?",
    "neuron=li neuron.surrogate=atan": "neuron.surrogate: neuron li has no such option.",
    "time.stps=3": "time.stps: there is no such option. Did you mean steps?",
    # options that do not go together
    "neuron.learn=[tua]": "lif.learn: 'tua' is no constant of it. Did you mean tau?",
    "output_neuron=ctrnn time.dt=200 loss=membrane_cross_entropy": "ctrnn.tau: 100.0. It must be at least dt (200 ms).",
    "output_neuron=li": "loss=count_cross_entropy: it needs the spikes of the last layer, and li has potential.",
    "experiment=null": "time.steps: null. Encoder constant needs it",
    # what a run does not have
    "nuron.tau=3": "nuron.tau: a run has no such option. Did you mean neuron?",
    "+foo=3": "foo: a run has no such option. There is backend",
    "experiment=digits_lfi": "experiment=digits_lfi: there is no file of that name in conf/experiment/. Did you mean d",
    "trainer=foo": "trainer=foo: there is no file of that name in conf/trainer/. There is ddp",
    "trainer.max_epchs=3": "trainer.max_epchs: there is no such option. Did you mean max_epochs?",
    "trainer.logger=false": "trainer.logger: a run sets it itself: use logger=csv.",
    # lists of parts
    "metric=[acuracy]": "metric=acuracy: there is no metric of that name. Did you mean accuracy?",
    "metric.accuracy.tok=3": "metric.accuracy.tok: there is no such option. Did you mean top_k?",
    "metric.mse.top_k=3": "metric.mse.top_k: metric mse is not chosen. Add metric=[accuracy, mse].",
    "callback.early_stopping.patience=3": "callback early_stopping is not chosen. Add callback=[early_stopping].",
    "metric=null": "metric: null. It takes the name of a metric, or several: metric=[a, b], [] for none.",
    # null where there must be something
    "neuron=null": "neuron: null. It takes the name of a neuron.",
    "~neuron": "neuron: null. It takes the name of a neuron.",
    "neuron.surrogate=null": "neuron.surrogate: null. It takes the name of a surrogate.",
    "trainer=null": "trainer: null. It takes the name of a file.",
    "output_neuron.tau=3": "output_neuron.tau: no neuron is chosen for it. Add output_neuron=NAME.",
    # several where there must be one
    "neuron=[lif,cuba]": "neuron: [lif, cuba]. It takes the name of a neuron.",
    "neuron={name:cuba,tau_mem:3}": "options are set one by one: neuron=cuba neuron.OPTION=VALUE.",
    # single layers
    "layers.0.neuron.tua=5": "layers.0.neuron.tua: neuron lif has no such option. Did you mean tau?",
    "layers.0.neuron=cub": "neuron=cub: there is no neuron of that name. Did you mean cuba?",
    # what cannot be read
    "neuron.tau=[1": "++neuron.tau=[1: it cannot be read; quotes around the value may help.",
    "=3": "=3: it takes name=value, as batch_size=500.",
    "output_dir='${foo}'": "output_dir: Interpolation key 'foo' not found.",
}


@pytest.mark.parametrize("line", WRONG)
def test_an_error_says_which_option_what_came_and_what_it_takes(line, compose):
    with pytest.raises(WrongOption) as error:
        compose(line)
    assert WRONG[line] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("experiment=typo", "neuron.tua: neuron lif has no such option. Did you mean tau?"),
        ("experiment=typo_in_trainer", "trainer.max_epchs: there is no such option. Did you mean max_epochs?"),
        ("experiment=unknown_part", "neuron=lfi: there is no neuron of that name. Did you mean lif?"),
        ("experiment=no_yaml", "no_yaml.yaml, line 4: it is no YAML: "),
        ("experiment=no_package", "experiment=no_package: its file lacks the first line `# @package _global_`."),
        ("experiment=loose_interpolation", "neuron.tau: Interpolation key 'time.dtt' not found."),
        ("experiment=no_name", "output_neuron.tau: no neuron is chosen for it. Add output_neuron=NAME."),
        (
            "experiment=atan_by_group neuron=li",
            "neuron.surrogate: neuron li has no such option. There is initial, learn, share, tau. "
            "It stands in conf/experiment/atan_by_group.yaml.",
        ),
    ],
)
def test_an_error_in_a_file_is_told_as_well(line, text, compose):
    with pytest.raises(WrongOption) as error:
        compose(line)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_two_experiments_of_one_name_are_refused(composer, tmp_path, monkeypatch):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "digits_lif.yaml").write_text("# @package _global_\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongOption, match=r"experiment=digits_lif: there are .* and .*another name"):
        composer.job([])
