"""What a logger is: told of the beginning of a run, of each epoch, and of the end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from snnlab.training.console import log


class RunLogger(Logger):
    """Something that is told what a run does, in its first process.

    Lightning calls loggers as well; its `finalize`, after the training and again after the test, is no end of a run.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    @property
    def name(self) -> str:
        """What configurations call it."""
        return self._name

    @property
    def version(self) -> str:
        """A run has one."""
        return ""

    def log_hyperparams(self, *args: Any, **keywords: Any) -> None:
        """Nothing: `begin` gets the configuration."""

    @abstractmethod
    def begin(self, config: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        """A run begins or goes on.

        Args:
            config: the complete configuration.
            rows: those of the epochs so far: none for a new run, those of its checkpoint for one that goes on. Later
                rows, which a killed process may have logged, are void.
        """

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """An epoch is over. Its row has `epoch`, counted from 0, `step`, the optimizer's steps so far, and numbers."""

    @abstractmethod
    def end(self, status: str, metrics: Mapping[str, float], pictures: Sequence[Path]) -> None:
        """The run ends.

        Args:
            status: completed, interrupted or failed.
            metrics: the numbers of result.json, on val and test; none unless completed.
            pictures: the PNG files that were drawn.
        """


class Guest(RunLogger):
    """A logger that hands the run to a library from outside: what fails there is told once, and the run goes on.

    One writes `_open`, `_write` and `_close`.
    """

    def __init__(self, folder: str | Path, name: str) -> None:
        super().__init__(name)
        self.folder, self._config, self._failed = Path(folder), dict[str, Any](), False

    def begin(self, config: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        """Open it."""
        self._config = dict(config)
        self._try(self._open, list(rows))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write a row."""
        self._try(self._write, metrics)

    def end(self, status: str, metrics: Mapping[str, float], pictures: Sequence[Path]) -> None:
        """Close it, also after something failed: what it holds until then may still be saved."""
        self._failed, failed = False, self._failed
        self._try(self._close, status, metrics, pictures, quietly=failed)

    @abstractmethod
    def _open(self, rows: Sequence[Mapping[str, float]]) -> None: ...

    @abstractmethod
    def _write(self, row: Mapping[str, float]) -> None: ...

    @abstractmethod
    def _close(self, status: str, metrics: Mapping[str, float], pictures: Sequence[Path]) -> None: ...

    def _try(self, act: Callable[..., None], *arguments: Any, quietly: bool = False) -> None:
        if self._failed:
            return
        try:
            act(*arguments)
        except Exception as error:
            self._failed = True
            if not quietly:
                log.warning("logger=%s: it failed: %s. The run goes on without it.", self.name, reason(error))


def reason(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(":. ")
