"""Words of a command line, in the form that Hydra takes, and as plain keys and values."""

from __future__ import annotations

import pytest

from snnlab.composition.overrides import in_hydras_words, removed, said, values
from snnlab.errors import WrongOption


@pytest.mark.parametrize(
    ("word", "hydras"),
    [
        # a part is chosen by its group, however it is said
        ("neuron=lif", "neuron=lif"),
        ("+neuron=lif", "neuron=lif"),
        ("++neuron=lif", "neuron=lif"),
        ("neuron.name=lif", "neuron=lif"),
        ("neuron=lif,cuba", "neuron=lif,cuba"),
        ("neuron.surrogate=atan", "neuron/surrogate=atan"),
        ("neuron/surrogate=atan", "neuron/surrogate=atan"),
        ("neuron.surrogate.name=atan", "neuron/surrogate=atan"),
        ("synapse.bias_init=zeros", "synapse/bias_init=zeros"),
        ("metric=[a,b]", "metric=[a,b]"),
        ("+experiment=x", "experiment=x"),
        ("++trainer=x", "trainer=x"),
        # options of parts are open to any key
        ("neuron.tau=3", "++neuron.tau=3"),
        ("++neuron.tau=3", "++neuron.tau=3"),
        ("+neuron.tau=3", "+neuron.tau=3"),
        ("neuron.surrogate.alpha=3,4", "++neuron.surrogate.alpha=3,4"),
        ("neuron={tau:3}", "++neuron={tau:3}"),
        ("network.hidden=[3,4]", "++network.hidden=[3,4]"),
        ("recurrent_synapse.init.gain=3", "++recurrent_synapse.init.gain=3"),
        # all others are not
        ("seed=3", "seed=3"),
        ("time.dt=3", "time.dt=3"),
        ("trainer.max_epochs=3", "trainer.max_epochs=3"),
        ("metric.accuracy.top_k=3", "metric.accuracy.top_k=3"),
        ("neurons.tau=3", "neurons.tau=3"),
        # nothing
        ("output_neuron=null", "~output_neuron"),
        ("readout=null", "~readout"),
        ("experiment=null", "~experiment"),
        ("neuron=null", "neuron=null"),
        ("monitor=null", "monitor=null"),
        ("~neuron.tau", "~neuron.tau"),
        ("~neuron.surrogate", "~neuron/surrogate"),
        # single layers
        ("layers.0.neuron=cuba", "++layers.0.neuron.name=cuba"),
        ("layers.0.neuron.surrogate=atan", "++layers.0.neuron.surrogate.name=atan"),
        ("layers.0.recurrent_synapse.init=normal", "++layers.0.recurrent_synapse.init.name=normal"),
        ("layers.0.neuron.tau=3", "++layers.0.neuron.tau=3"),
        ("layers.0.neuron={tau:3}", "++layers.0.neuron={tau:3}"),
        ("layers.0.neuron=null", "++layers.0.neuron=null"),
        ("layers.0.noise=0.1", "++layers.0.noise=0.1"),
        ("~layers.0", "~layers.0"),
        # values are left as they are
        ("output_dir='a,b=c'", "output_dir='a,b=c'"),
        ("neuron.tau='neuron.tau=3'", "++neuron.tau='neuron.tau=3'"),
        ("output_dir=a\nb", "output_dir=a\nb"),
        ("hydra/launcher=basic", "hydra/launcher=basic"),
        ("neuron@x=lif", "neuron@x=lif"),
        ("=3", "=3"),
    ],
)
def test_a_word_is_put_as_hydra_takes_it(word, hydras, composer):
    assert in_hydras_words(word, composer.groups) == hydras
    assert in_hydras_words(hydras, composer.groups) in (hydras, f"+{hydras}")  # sweeps translate a second time


def test_what_words_say_and_what_they_remove():
    words = ["neuron=lif", "neuron/surrogate=atan", "++neuron={tau:3,surrogate:{alpha:2}}", "~readout", "metric=[a,b]"]
    assert said([*words, "++layers.0.neuron.name=cuba", "output_dir='a,b'"]) == {
        "neuron": "lif",
        "neuron.surrogate": "atan",
        "neuron.tau": 3,
        "neuron.surrogate.alpha": 2,
        "metric": ["a", "b"],
        "layers.0.neuron.name": "cuba",
        "output_dir": "a,b",
    }
    assert removed([*words, "~neuron.threshold", "~neuron/surrogate"]) == {
        "readout",
        "neuron.threshold",
        "neuron.surrogate",
    }


def test_plain_words_are_keys_and_values():
    words = [
        "batch_size=500",
        "trainer.precision=bf16-mixed",
        "dataset.folder='a b'",
        "monitor=null",
        "neuron.tau=[1,2]",
    ]
    assert values(words) == {
        "batch_size": 500,
        "trainer.precision": "bf16-mixed",
        "dataset.folder": "a b",
        "monitor": None,
        "neuron.tau": [1, 2],
    }


@pytest.mark.parametrize("word", ["seed=0,1", "~neuron.tau", "+seed=1", "++seed=1", "seed=range(3)"])
def test_what_is_no_plain_word_is_refused(word):
    with pytest.raises(WrongOption, match="it takes name=value, as batch_size=500"):
        values([word])


@pytest.mark.parametrize("word", ["neuron", "seed=0,", "a b=3", "neuron.tau=[1", "output_dir='a"])
def test_what_cannot_be_read_is_refused_with_the_word(word):
    with pytest.raises(WrongOption, match="it cannot be read; quotes around the value may help") as error:
        values([word])
    assert str(error.value).startswith(f"{word}: ")
