"""Train a network; with -m, a sweep over any options.

  snnlab train                                      the default experiment, digits_lif
  snnlab train experiment=digits_cuba seed=1        another one
  snnlab train neuron=cuba neuron.tau_mem=5         another neuron; `snnlab list neuron cuba` shows its options
  snnlab train neuron.surrogate=atan layers.0.neuron.tau=10 optimizer.lr=0.005
  snnlab train trainer.max_epochs=5 trainer.precision=bf16-mixed trainer.gradient_clip_val=1
  snnlab train -m neuron=lif,cuba seed=0,1,2        six runs, in sweeps/; the same command again does what is missing
  snnlab train -m hydra/launcher=processes launcher.jobs=2 seed=0,1   two at once; `snnlab list launcher`: gpus, slurm
  snnlab train -m hydra/sweeper=optuna sweeper.n_trials=20 "optimizer.lr=interval(0.001,0.1)"      a search
  snnlab train resume=RUN                           go on with a run that was stopped, exactly
  snnlab train resume=RUN trainer.max_epochs=200    go on for longer
  snnlab train weights=RUN "freeze=[layers.0]"      begin with the weights of another run

Every part is chosen by its name (neuron=, loss=, dataset=, …) and set by its options (neuron.tau=). Several metrics,
regularizers, loggers and callbacks are chosen as a list: regularizer=[rate_lower,rate_upper]. Every argument of
Lightning's Trainer is trainer.<its name>. What the run leaves lies in runs/<experiment>/<date_time>, or in
output_dir=FOLDER; a sweep lies in sweeps/, or in sweep_dir=FOLDER, and `snnlab results` shows its table. --cfg job
prints the configuration and runs nothing; --dry-run tells what a sweep would do. sweep=NAME takes axes from
conf/sweep/NAME.yaml; sweep.zip=[a,b] lets them go side by side; sweep.on_failure=stop; sweep.redo=stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snnlab.errors import BadData, WrongOption
from snnlab.training.folder import new_folder, words_of
from snnlab.training.processes import devices_as_launched, end_with_parent, place


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    if set(argv) & {"-h", "--help"}:
        print(__doc__)
        return 0
    if list(argv[:1]) == ["--resolved"]:
        end_with_parent()
        return _train_resolved(Path(argv[1]) if len(argv) > 1 else Path(), redo_stale="--redo-stale" in argv[2:])
    if place().launcher:
        return _launched(argv)
    return _main(argv)


def _launched(argv: Sequence[str]) -> int:
    """Under torchrun and srun the first process reads the command line; the others are told what it trains."""
    end_with_parent()
    if place().rank:
        from snnlab.training.ranks import declare
        from snnlab.training.run import follow

        if place().launcher != "snnlab":  # those are started without words
            declare(argv)
        follow()
        return 0

    from snnlab.training.ranks import leading

    with leading(argv):
        if {"-m", "--multirun"} & set(argv):
            raise WrongOption(
                f"train -m: a sweep under {place().launcher}. Start it without: its jobs start their own."
            )
        return _main(argv)


def _main(argv: Sequence[str]) -> int:
    flags = [word for word in argv if word.startswith("-")]
    words = [word for word in argv if not word.startswith("-")]
    sweep = bool({"-m", "--multirun"} & set(flags))
    if unknown := [flag for flag in flags if flag not in ("-m", "--multirun", "--cfg", "--dry-run")]:
        raise WrongOption(
            f"train {unknown[0]}: there is no such flag. It takes options like neuron.tau=3, -m, --dry-run, --cfg job "
            "and --help."
        )
    if "--dry-run" in flags and not sweep:
        raise WrongOption("train --dry-run: it is for sweeps, with -m. Of one run --cfg job shows the configuration.")
    if "--cfg" in flags:
        words = [word for word in words if word not in ("job", "all", "hydra")]
    if wrong := [word for word in words if "=" not in word and not word.startswith("~")]:
        raise WrongOption(
            f"train {wrong[0]}: it is no option. It takes name=value, as experiment=digits_lif or neuron.tau=3."
        )

    if run := [word.partition("=")[2] for word in words if word.startswith("resume=")]:
        return _resume(run[-1], [word for word in words if not word.startswith("resume=")], flags)

    from snnlab.composition import Composer
    from snnlab.composition.overrides import parsed

    words = [_found(word) for word in words]
    composer = Composer()
    sweep_dir = [word.partition("=")[2] for word in words if word.startswith("sweep_dir=")]
    about_runs = [word for word in words if not word.startswith("sweep_dir=")]
    if sweep:
        return _sweep(composer, about_runs, sweep_dir[-1] if sweep_dir else None, flags)
    overrides = composer.translated(about_runs)
    if sweep_dir:
        raise WrongOption("sweep_dir: it is for sweeps. Add -m, or use output_dir.")
    if swept := [override.key_or_group for override in parsed(overrides) if override.is_sweep_override()]:
        raise WrongOption(f"{swept[0]}: several values. For a sweep over them add -m.")
    config = composer.job(overrides)
    if "--cfg" in flags:
        print(_as_yaml(config), end="")
        return 0
    config["trainer"] = devices_as_launched(config["trainer"], _about_trainer(words), place())
    config["output_dir"] = config["output_dir"] or new_folder(config)
    _run(config, words)
    return 0


def _run(config: dict[str, Any], overrides: Sequence[str], *, longer: bool = False, redo_stale: bool = False) -> None:
    from snnlab.training.run import train

    train(config, overrides, longer=longer, redo_stale=redo_stale)


def _resume(run: str, words: Sequence[str], flags: Sequence[str]) -> int:
    """A run goes on in its folder, as it began; the configuration is the run's own."""
    if flags:
        raise WrongOption(
            f"train {flags[0]}: with resume=, one run goes on. It takes options that may change, and no flags."
        )

    from snnlab.composition.overrides import values
    from snnlab.training.resume import continued
    from snnlab.training.stored import folder_to_go_on_in

    folder = folder_to_go_on_in(run)
    config = continued(folder, values(words))
    config["trainer"] = devices_as_launched(config["trainer"], _about_trainer(words), place())
    _run(config, [*words_of(folder), *words], longer=True)
    return 0


def _found(word: str) -> str:
    """`weights=last` as the checkpoint that it means now; after the next job of a sweep it would be another."""
    key, _, runs = word.partition("=")
    if key != "weights" or runs in ("", "null"):
        return word

    from snnlab.composition.values import in_words
    from snnlab.training.stored import find

    found = [in_words({"weights": str(find(run))})[0].partition("=")[2] for run in runs.split(",")]
    return f"weights={','.join(found)}"


def _sweep(composer: Any, words: Sequence[str], sweep_dir: str | None, flags: Sequence[str]) -> int:
    """All jobs are checked before the first one starts."""
    from snnlab.sweeps.begin import begin

    sweep = begin(composer, words, sweep_dir)
    if "--cfg" in flags:
        print("---\n".join(_as_yaml(dict(job.config)) for job in sweep.sweeper.examples()), end="")
        return 0
    if "--dry-run" in flags:
        print(sweep.preview())
        return 0
    return sweep.run()


def _train_resolved(path: Path, *, redo_stale: bool) -> int:
    """How the processes of a run start: from its saved configuration, never from the command line."""
    from snnlab.training.config import check_config, complete
    from snnlab.training.plain import read_yaml

    if not path.is_file():
        raise BadData(f"train --resolved {path}: there is no such file. It takes the config.yaml of a run's folder.")
    config = read_yaml(path)
    if not isinstance(config, dict) or not config.get("output_dir"):
        raise BadData(f"train --resolved {path}: it is no config.yaml of a run's folder.")
    check_config(config)
    # Whatever the file says: a run goes on in the folder that it lies in.
    config = complete(config) | {"output_dir": str(path.parent)}
    _run(config, words_of(path.parent), longer=True, redo_stale=redo_stale)
    return 0


def _about_trainer(words: Sequence[str]) -> dict[str, Any]:
    from snnlab.composition.overrides import values

    return values([word for word in words if word.startswith("trainer.")])


def _as_yaml(config: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(config, sort_keys=False))
