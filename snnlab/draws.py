"""Random numbers that depend on nothing but their key: never on workers, ranks, resumes or the global generator."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from snnlab.errors import WrongOption


def derived_seed(*key: int | str) -> int:
    """A seed of 32 bits, all that torch's CPU generator keeps, from a key such as (seed, epoch, batch, stage)."""
    return zlib.crc32(repr(key).encode())


class Draws:
    """The random numbers of one batch, drawn for the whole batch of all ranks and cut to this rank's samples.

    Each use has a name ("encoder", "layers.0.noise"), which is part of the key: what one part draws does not change
    what another one gets. The same name gives the same numbers again.

    Args:
        key: (seed, stage, epoch, batch), or any other integers and strings.
        rank: this process, in 0 … world - 1; it holds the samples rank, rank + world, … of the whole batch.
        world: number of processes.
        size: samples in the whole batch; needed where world > 1.
    Raises: WrongOption, where there are several processes and no size.
    """

    def __init__(self, *key: int | str, rank: int = 0, world: int = 1, size: int | None = None) -> None:
        if world > 1 and size is None:
            raise WrongOption(
                f"draws: {world} processes and no size. It takes the number of samples in the whole batch."
            )
        self.key, self.rank, self.world, self.size = key, rank, world, size

    def generator(self, name: str, device: torch.device | str = "cpu") -> torch.Generator:
        """A fresh generator for one use, on `device`."""
        return torch.Generator(device).manual_seed(derived_seed(*self.key, name))

    def seed_global(self, device: torch.device | str = "cpu") -> None:
        """Seed torch's generators, of the CPU and of `device`, from this key and the rank. Our parts use neither."""
        seed = derived_seed(*self.key, "global", self.rank)
        torch.default_generator.manual_seed(
            seed
        )  # a hundred times faster than torch.manual_seed, which asks all devices
        if torch.device(device).type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)

    def uniform(self, name: str, shape: Sequence[int], like: Tensor, batch: int = 1) -> Tensor:
        """U[0, 1) of `shape`, on the device and in the type of `like`; `batch` is the axis of samples."""
        generator = self.generator(name, like.device)
        whole = torch.rand(self._whole(shape, batch), generator=generator, device=like.device, dtype=like.dtype)
        return self._mine(whole, batch)

    def normal(self, name: str, shape: Sequence[int], like: Tensor, batch: int = 1) -> Tensor:
        """N(0, 1) of `shape`, on the device and in the type of `like`; `batch` is the axis of samples."""
        generator = self.generator(name, like.device)
        whole = torch.randn(self._whole(shape, batch), generator=generator, device=like.device, dtype=like.dtype)
        return self._mine(whole, batch)

    def _whole(self, shape: Sequence[int], batch: int) -> list[int]:
        whole = list(shape)
        if self.size is not None:
            whole[batch] = self.size
        return whole

    def _mine(self, whole: Tensor, batch: int) -> Tensor:
        if self.world == 1:
            return whole
        every = [slice(None)] * whole.dim()
        every[batch] = slice(self.rank, None, self.world)
        return whole[tuple(every)]
