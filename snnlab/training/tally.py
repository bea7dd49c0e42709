"""What an epoch adds up, a step at a time, at the price of a few sums: losses, rates, scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from snnlab.errors import WrongOption
from snnlab.training.outcome import Outcome


class Tally:
    """Sums over an epoch. Metrics are computed at its end: a torchmetrics update costs more than a small step."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: an epoch begins."""
        self.loss: Tensor | float = 0.0
        self.penalties: dict[str, Tensor] = {}
        self.samples = 0
        self.steps: Tensor | int = 0
        self.spikes: dict[str, Tensor] = {}
        self.scores: list[Tensor] = []
        self.targets: list[Tensor] = []

    def add(self, outcome: Outcome, loss: Tensor, scores: Tensor, targets: Tensor) -> None:
        """Take in one batch."""
        samples = outcome.result.outputs.shape[1]
        self.loss = self.loss + loss.detach() * samples
        self.samples += samples
        self.steps = self.steps + outcome.valid_steps()
        for name, counts in outcome.spike_counts().items():
            self.spikes[name] = self.spikes[name] + counts if name in self.spikes else counts
        self.scores.append(scores)
        self.targets.append(targets)

    def add_penalty(self, name: str, penalty: Tensor, samples: int) -> None:
        """Take in a regularizer's penalty of one batch."""
        weighed = penalty.detach() * samples
        self.penalties[name] = self.penalties[name] + weighed if name in self.penalties else weighed

    def gather(self, reduce: Callable[[Tensor], Tensor], device: torch.device) -> None:
        """Make the sums those of all processes; scores stay here, as metrics gather their own."""
        self.loss = reduce(torch.as_tensor(self.loss, device=device))
        self.penalties = {name: reduce(penalty) for name, penalty in self.penalties.items()}
        self.samples = int(reduce(torch.tensor(self.samples, device=device)))
        self.steps = reduce(torch.as_tensor(self.steps, device=device))
        self.spikes = {name: reduce(counts) for name, counts in self.spikes.items()}

    def state_dict(self) -> dict[str, Any]:
        """The sums of this process so far, for a checkpoint within an epoch; {} where there are none."""
        if not self.scores:
            return {}
        scores, targets = torch.cat(self.scores), torch.cat(self.targets)
        return {
            "loss": self.loss,
            "penalties": dict(self.penalties),
            "samples": self.samples,
            "steps": self.steps,
            "spikes": dict(self.spikes),
            "scores": scores,
            "targets": targets,
        }

    def load_state_dict(self, *states: Mapping[str, Any], device: torch.device | str = "cpu") -> None:
        """Begin where `state_dict` was taken, in as many processes as were there."""
        self.reset()
        for state in filter(None, states):
            self.loss = self.loss + torch.as_tensor(state["loss"]).to(device)
            self.samples += state["samples"]
            self.steps = self.steps + _on(state["steps"], device)
            for mine, theirs in ((self.penalties, state["penalties"]), (self.spikes, state["spikes"])):
                for name, value in theirs.items():
                    mine[name] = mine[name] + value.to(device) if name in mine else value.to(device)
            self.scores.append(state["scores"].to(device))
            self.targets.append(state["targets"].to(device))

    def rates(self) -> dict[str, Tensor]:
        """The mean rate of each unit of the layers that fire, spikes per step, (units,)."""
        return {name: counts / self.steps for name, counts in self.spikes.items()}

    def values(self, metrics: Mapping[str, Metric]) -> dict[str, Tensor]:
        """The numbers of the epoch: loss without penalties, penalties, metrics, rates and silent fractions of layers.

        Raises: WrongOption, when a metric cannot compare the scores with the targets.
        """
        values = {"loss": torch.as_tensor(self.loss / max(self.samples, 1))}
        values |= {f"penalty/{name}": penalty / max(self.samples, 1) for name, penalty in self.penalties.items()}
        scores, targets = self.scored()
        for name, metric in metrics.items():
            metric.reset()
            try:
                metric.update(scores, targets)
            except (RuntimeError, ValueError) as error:
                raise WrongOption(
                    f"metric={name}: it cannot compare scores {tuple(scores.shape)} "
                    f"with targets {tuple(targets.shape)} of {targets.dtype}. Choose another metric."
                ) from error
            values[name] = metric.compute()
        for name, rates in self.rates().items():
            values[f"rate/{name}"] = rates.mean()
            values[f"silent/{name}"] = (rates == 0).float().mean()
        return values

    def scored(self) -> tuple[Tensor, Tensor]:
        """All scores and targets of the epoch, in float32 whatever the network's precision."""
        return torch.cat(self.scores).float(), torch.cat(self.targets)


def _on(value: Tensor | int, device: torch.device | str) -> Tensor | int:
    return value.to(device) if isinstance(value, Tensor) else value
