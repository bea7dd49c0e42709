"""Runs from Python, for notebooks and scripts: `snnlab.train` and `snnlab.load`.

Nothing heavy is imported before it is needed, so that `import snnlab` and a look at what it has cost nothing.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from snnlab.errors import BadData, WrongOption
from snnlab.options import nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from snnlab.data import Data
    from snnlab.encoders import Encoder
    from snnlab.networks import Network
    from snnlab.training.module import Training

Picture = Literal["raster", "potentials", "curves", "confusion"]


def train(experiment: str | None = None, /, *, quiet: Any = False, **options: Any) -> Run:
    """Train, and give the run; its folder is the one that `snnlab train` would leave.

    train("digits_lif", neuron="cuba", seed=1, optimizer={"lr": 0.01})
    train(neuron={"name": "cuba", "tau_mem": 5.0}, regularizer=["rate_upper"], **{"trainer.max_epochs": 5})

    It takes one device unless `trainer` says otherwise. Of several threads one trains at a time.

    Args:
        experiment: a file of conf/experiment/, digits_lif by default.
        quiet: hold back what a run says, but for warnings; log.txt in its folder has everything.
        options: those of the command line; what has dots there is a dict here, or a name with dots. `resume` goes on
            with a run, `weights` begins with those of one.
    Raises: WrongOption, before anything is trained, BadData, FailedRun; KeyboardInterrupt, when it was stopped.
    """
    from snnlab.training.surroundings import import_torch, silence, surroundings_kept

    # `quiet` is no `bool`: type checkers hold all values of **{"optimizer.lr": 0.01} against it.
    import_torch()
    given = options if experiment is None else {"experiment": experiment, **options}
    with surroundings_kept(), silence() if quiet else nullcontext():
        folder, result = _trained(given)
    return Run(folder / result["best_checkpoint"])


def load(run: str | Path) -> Run:
    """A run on disk. Nothing of it is executed: it is plain data and tensors.

    Args:
        run: its folder, a checkpoint, `last` for the newest run, or the beginning of a run's id.
    Raises: BadData, when there is no such run or it is damaged; WrongOption, when it needs a plugin that is not there.
    """
    from snnlab.training.surroundings import import_torch

    import_torch()
    from snnlab.training.stored import find

    return Run(find(str(run)))


def _trained(options: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    from snnlab.composition import Composer
    from snnlab.composition.job import hydra_aside, run_job
    from snnlab.composition.values import in_words
    from snnlab.training.folder import new_folder
    from snnlab.training.stored import find

    if options.get("resume") is not None:
        return _resumed(**options)
    if options.get("weights") is not None:  # `last` would be another run later
        options = options | {"weights": find(_place(options["weights"]))}
    words = in_words(options)
    with hydra_aside():
        composer = Composer()
        config = composer.job(composer.translated(words))
    config["output_dir"] = config["output_dir"] or new_folder(config)
    return Path(config["output_dir"]), run_job(config, words)


def _resumed(resume: str | Path | Run, **changes: Any) -> tuple[Path, dict[str, Any]]:
    from snnlab.composition.job import run_job
    from snnlab.composition.values import flat, in_words
    from snnlab.training.folder import words_of
    from snnlab.training.resume import continued
    from snnlab.training.stored import folder_to_go_on_in

    folder = folder_to_go_on_in(str(resume.folder) if isinstance(resume, Run) else str(resume))
    config = continued(folder, dict(flat(changes.items())))
    return folder, run_job(config, [*words_of(folder), *in_words(changes)], longer=True)


def _place(run: str | Path | Run) -> str:
    return str(run.checkpoint if isinstance(run, Run) else run)


class Run:
    """A trained network, what it was asked and what came out; made by `snnlab.train` and `snnlab.load`.

    Its files are read when something is asked for: after the run went on for longer, that is what came out then.

    Args:
        checkpoint: the file that holds the weights: of the best epoch, unless another was asked for.
    """

    def __init__(self, checkpoint: Path) -> None:
        from snnlab.training.checkpoint import FOLDER
        from snnlab.training.stored import stored_config

        self._config = stored_config(checkpoint)
        self.checkpoint = checkpoint.absolute()  # a notebook may change its working folder
        around = self.checkpoint.parent
        self.folder = around.parent if around.name == FOLDER else around

    def __repr__(self) -> str:
        here = Path.cwd()
        place = self.folder.relative_to(here) if self.folder.is_relative_to(here) else self.folder
        title = " ".join(filter(None, ("Run", self._config["experiment"], f"in {place}")))
        try:
            result = self.result
        except BadData:
            return f"<{title}, {self.checkpoint.name}>"
        shown = [f"{name} {value:.4f}" for name, value in result["metrics"].items() if _is_main(name)]
        return f"<{title}: {', '.join(shown)}; best epoch {result.get('best_epoch')} of {result.get('epochs')}>"

    @property
    def config(self) -> dict[str, Any]:
        """Every option of the run, a copy."""
        return copy.deepcopy(self._config)

    @property
    def result(self) -> dict[str, Any]:
        """What result.json holds: metrics, best epoch, seconds, versions, commit, the run's id.

        Raises: BadData, when the run did not end, and when its result is that of another checkpoint.
        """
        from snnlab.training.stored import stored_result

        path = self.folder / "result.json"
        try:
            result = stored_result(self.folder)
            best = Path(result["best_checkpoint"])
            mine = (self.folder / best).samefile(self.checkpoint)
        except (OSError, BadData) as error:
            raise BadData(
                f"{path}: there is none that could be read; the run did not end, or lies elsewhere. "
                "evaluate() computes the metrics."
            ) from error
        if not mine:
            raise BadData(f"{path}: it is about {best}. evaluate() computes the metrics of {self.checkpoint.name}.")
        return result

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers of the checkpoint on val and on test, `val/accuracy`, as result.json has them."""
        return dict(self.result["metrics"])

    @property
    def history(self) -> list[dict[str, float]]:
        """The numbers of the run's epochs, those of metrics.csv: one row an epoch."""
        from snnlab.training import checkpoint
        from snnlab.training.resume import last_checkpoint

        path = last_checkpoint(self.folder)
        return list(checkpoint.load(path)["snnlab"].get("rows", [])) if path.is_file() else []

    @cached_property
    def module(self) -> Training:
        """The LightningModule of the run with the weights of the checkpoint, on the CPU, in evaluation mode."""
        return self._rebuilt()

    @property
    def network(self) -> Network:
        """The trained network: `network(x)` of x (T, B, *units) gives `outputs`, `layers` and `state`."""
        return self.module.network

    @property
    def encoder(self) -> Encoder:
        """What makes x from samples: `encoder(inputs, Draws(0))`."""
        return self.module.parts.encoder

    @cached_property
    def data(self) -> Data:
        """The dataset that it was trained on: `data.test.inputs`, `data.test.targets`."""
        from snnlab.training.assemble import load_data

        return load_data(self._config)

    def evaluate(self, split: str = "test", **changes: Any) -> dict[str, float]:
        """Compute the metrics anew, as `snnlab evaluate` does, by one process unless `trainer` says otherwise.

        Args:
            split: test or val.
            changes: to the run's options, as batch_size=500 or trainer={"precision": "bf16-mixed"}.
        Raises: WrongOption, BadData.
        """
        from snnlab.composition.values import flat
        from snnlab.training.console import quiet
        from snnlab.training.evaluation import ALONE, evaluate
        from snnlab.training.stored import changed
        from snnlab.training.surroundings import surroundings_kept

        if split not in ("test", "val"):
            raise WrongOption(f"evaluate.split: {split}. It takes a part of the data.{nearest(split, ['test', 'val'])}")
        config = changed(self._config, ALONE | dict(flat(changes.items())))
        with surroundings_kept():
            quiet()
            return evaluate(self.checkpoint, config, split)

    def plot(self, name: Picture) -> Figure:
        """A picture, as in plots/, of the network of the checkpoint; a notebook shows it.

        Args:
            name: raster (spikes of some test samples), potentials, curves (the epochs), or confusion (of classes).
        Raises: WrongOption, for a name that is none, and where there is nothing to show.
        """
        from snnlab.training.assemble import monitored
        from snnlab.training.figures import Figures, check_name, confusion_matrix
        from snnlab.training.surroundings import surroundings_kept

        check_name(name)
        with surroundings_kept():
            module = self._rebuilt()  # not `module`: that is the user's, who may have moved or changed it
            if name == "confusion":
                self._test(module)
            confusion = confusion_matrix(module, len(self.data.classes))
            monitor, mode = monitored(self._config, module.facts["outputs"])
            figure = Figures(module, self.data, self.history, confusion, monitor, mode).figure(name)
        # Where pyplot was never imported, a notebook knows no other way to show one.
        figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
        return figure

    def _rebuilt(self) -> Training:
        from snnlab.training.evaluation import rebuilt

        module = rebuilt(self.checkpoint, self._config)
        module.eval()
        return module

    def _test(self, module: Training) -> None:
        from snnlab.training.console import quiet
        from snnlab.training.evaluation import ALONE, score
        from snnlab.training.stored import changed

        quiet()
        score(module, changed(self._config, ALONE), self.data, "test")


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _is_main(name: str) -> bool:
    return name.count("/") == 1 and not name.endswith("/loss")
