"""The share of a dataset that one of several processes trains on.

Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.distributed.DistributedSampler
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import facula
from facula.errors import honest
from facula.generator import Generator
from facula.utils.data.sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index of the data, beginning with the `rank`-th.

    All replicas must use the same `seed`; call `set_epoch` before each epoch, or every epoch has
    the same order. Without `drop_last` some indices come twice, so that all replicas get the same
    number of samples.

    Raises RuntimeError if `num_replicas` or `rank` is left out and no process group was started
    that could be asked, and ValueError for a rank outside ``[0, num_replicas)``.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if facula.distributed.is_initialized():
            if num_replicas is None:
                num_replicas = facula.distributed.get_world_size()
            rank = facula.distributed.get_rank() if rank is None else rank
        if num_replicas is None or rank is None:
            raise RuntimeError(
                "DistributedSampler requires num_replicas and rank: the distributed package, which "
                "would know them, is not available"
            )
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        n = len(dataset)
        self.num_samples = n // num_replicas if drop_last else math.ceil(n / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            generator = Generator().manual_seed(self.seed + self.epoch)
            order = generator.permutation(n).tolist()
        else:
            order = list(range(n))
        if not self.drop_last and n:
            order = (order * math.ceil(self.total_size / n))[: self.total_size]
        mine = order[self.rank : self.total_size : self.num_replicas]
        if len(mine) != self.num_samples:
            raise AssertionError(
                f"Number of subsampled indices ({len(mine)}) does not match num_samples "
                f"({self.num_samples}): the length of the dataset has changed"
            )
        return iter(mine)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next: each has an order of its own."""
        self.epoch = epoch


__getattr__ = honest(__name__)
