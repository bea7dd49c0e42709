"""A sweep's jobs: how each form of a list is taken apart, and that all are checked before the first one starts."""

from __future__ import annotations

import pytest

from snnlab.commands.train import main
from snnlab.errors import WrongOption


@pytest.mark.parametrize(
    ("line", "jobs"),
    [
        ("seed=0,1,2", ["seed=0", "seed=1", "seed=2"]),
        ("seed=range(3)", ["seed=0", "seed=1", "seed=2"]),
        ("seed=range(5,0,-2)", ["seed=5", "seed=3", "seed=1"]),
        ("seed=choice(4,7)", ["seed=4", "seed=7"]),
        ("plots=true,false", ["plots=True", "plots=False"]),
        ("neuron=lif,cuba", ["neuron=lif", "neuron=cuba"]),
        ("neuron=glob(li*)", ["neuron=li", "neuron=lif", "neuron=linear"]),
        ("neuron.surrogate=atan,fast_sigmoid", ["neuron/surrogate=atan", "neuron/surrogate=fast_sigmoid"]),
        ("neuron.tau=5,10", ["++neuron.tau=5", "++neuron.tau=10"]),
        (
            "network.hidden=[10],[20,30],[]",
            ["++network.hidden=[10]", "++network.hidden=[20,30]", "++network.hidden=[]"],
        ),
        ("metric=[accuracy],[accuracy,mse]", ["metric=[accuracy]", "metric=[accuracy,mse]"]),
        ("layers.0.neuron=lif,cuba", ["++layers.0.neuron.name=lif", "++layers.0.neuron.name=cuba"]),
        ("layers.0.neuron={tau:5},{tau:6}", ["++layers.0.neuron={tau:5}", "++layers.0.neuron={tau:6}"]),
        ("layers.0.neuron.tau=range(5,7)", ["++layers.0.neuron.tau=5", "++layers.0.neuron.tau=6"]),
        ("output_dir='a,b','c d'", ["output_dir='a,b'", "output_dir='c d'"]),
        ("monitor='val/loss',null", ["monitor='val/loss'", "monitor=null"]),
    ],
)
def test_a_list_of_values_becomes_one_job_each(line, jobs, composer):
    assert [job for (job,) in composer.jobs(composer.translated([line]))] == jobs


def test_two_lists_become_every_pair_and_single_values_are_in_each(composer):
    words = composer.translated(["neuron=lif,cuba", "seed=0,1", "batch_size=8"])
    assert composer.jobs(words) == [
        [f"neuron={neuron}", f"seed={seed}", "batch_size=8"] for neuron in ("lif", "cuba") for seed in (0, 1)
    ]


def test_jobs_of_a_sweep_are_the_runs_that_the_same_words_give_one_by_one(composer, compose):
    first, second = composer.jobs(
        composer.translated(["experiment=digits_stbp", "neuron=lif,stbp", "layers.0.noise=0.5"])
    )
    assert composer.job(first) == compose("experiment=digits_stbp neuron=lif layers.0.noise=0.5")
    assert composer.job(second) == compose("experiment=digits_stbp neuron=stbp layers.0.noise=0.5")
    assert composer.job(first)["neuron"] != composer.job(second)["neuron"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("optimizer.lr=interval(0.1,1)", "does not support .*A sweep takes lists"),
        ("seed=glob(*)", "there is no value to try"),
        ("seed=0,", "it cannot be read"),
    ],
)
def test_a_list_that_gives_no_jobs_is_refused(line, text, composer):
    with pytest.raises(WrongOption, match=text):
        composer.jobs(composer.translated([line]))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["neuron=lif,cuba,lfi"], "neuron=lfi: there is no neuron of that name. Did you mean lif?"),
        (["neuron=lif,cuba", "neuron.tau=3"], "neuron.tau: neuron cuba has no such option."),
        (["seed=0,1,-1"], "seed: -1. It takes a whole number >= 0."),
        (["output_neuron=lif,null"], "output_neuron: null"),
    ],
)
def test_all_jobs_are_checked_before_the_first_one_starts(words, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("snnlab.sweeps.launchers.basic.perform", lambda _: pytest.fail("a job started"))
    with pytest.raises(WrongOption) as error:
        main(["-m", *words])
    assert text in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_list_of_values_without_m_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongOption, match="neuron: several values"):
        main(["neuron=lif,cuba"])
