"""DataLoader: batches of a dataset, made in this process or in worker processes.

Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from facula.errors import honest
from facula.random import default_generator
from facula.utils.data._utils.collate import default_collate, default_convert
from facula.utils.data._utils.fetch import make_fetcher
from facula.utils.data._utils.worker import get_worker_info
from facula.utils.data.datapipes.datapipe import IterDataPipe, set_seed, set_shuffle
from facula.utils.data.dataset import Dataset, IterableDataset
from facula.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)


class _Endless(Sampler[None]):
    """The indices of a dataset that has none: iterables are asked for samples, not for indices."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class _DatasetKind:
    """How samples are found: by index, or as they come. Libraries compare with these numbers."""

    Map, Iterable = 0, 1

    @staticmethod
    def create_fetcher(
        kind: int,
        dataset: Any,
        auto_collation: bool,
        collate_fn: Callable[[Any], Any],
        drop_last: bool,
    ) -> Any:
        """What takes samples out of a dataset of this kind."""
        return make_fetcher(
            dataset, kind == _DatasetKind.Iterable, auto_collation, collate_fn, drop_last
        )


_collate_fn_t = Callable[[list[Any]], Any]
_worker_init_fn_t = Callable[[int], None]


class DataLoader(Generic[T_co]):
    """Iterates over a dataset, in batches.

    dataset: by index, or an `IterableDataset`.
    batch_size: samples in a batch; None for samples as they are. With `drop_last`, an incomplete
        last batch is dropped.
    shuffle, sampler, batch_sampler: a random order, the order of an iterable of indices, or of one
        of lists of indices. Any of them excludes the others.
    num_workers: processes that make batches; 0 for this process. Each has `prefetch_factor`
        batches (default 2) in hand, and its own numbers from `base_seed + worker_id`, where
        `base_seed` is drawn for each iteration. `worker_init_fn(worker_id)` runs in it first.
        `persistent_workers` keeps them from one iteration to the next. `in_order=False` gives
        batches as they get ready.
    collate_fn: makes a batch of a list of samples; default `default_collate`.
    timeout: seconds to wait for a batch; 0 for no limit.
    generator: where the random order and the base seed come from.
    multiprocessing_context: a start method or a context, as in `multiprocessing`.
    pin_memory, pin_memory_device: accepted, without effect: there is no accelerator to pin for.

    An exception in a worker is raised here, as the same type, with the worker's traceback in its
    text. A worker that dies, and a timeout, is a RuntimeError. Raises ValueError for options that
    contradict each other.
    """

    dataset: Dataset[T_co]
    batch_size: int | None
    num_workers: int
    drop_last: bool
    timeout: float
    sampler: Sampler[Any] | Iterable[Any]
    _iterator: Any = None
    _ready = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError(
                "num_workers option should be non-negative; use num_workers=0 to disable "
                f"multiprocessing. Got num_workers={num_workers}"
            )
        if timeout < 0:
            raise ValueError(f"timeout option should be non-negative, but got timeout={timeout}")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing. Let "
                "num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None; "
                f"got prefetch_factor={prefetch_factor}"
            )
        if prefetch_factor is not None and prefetch_factor < 1:
            raise ValueError(
                f"prefetch_factor option should be positive, but got {prefetch_factor}"
            )
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.in_order = in_order
        self.generator = generator
        self.persistent_workers = persistent_workers
        self.multiprocessing_context = multiprocessing_context
        iterable = isinstance(dataset, IterableDataset)
        self._dataset_kind = _DatasetKind.Iterable if iterable else _DatasetKind.Map
        pipe = isinstance(dataset, IterDataPipe)
        if pipe and shuffle is not None:
            set_shuffle(dataset, shuffle)
        if iterable:
            for name, value in (
                ("shuffle", (shuffle or None) if not pipe else None),
                ("sampler", sampler),
                ("batch_sampler", batch_sampler),
            ):
                if value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but "
                        f"got {name}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )
        order: Any = sampler
        if order is None:
            if iterable:
                order = _Endless()
            elif shuffle:
                order = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                order = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None:
            batch_sampler = BatchSampler(order, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = order
        self.batch_sampler = batch_sampler
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        # What len() has said of an iterable dataset.
        self._IterableDataset_len_called: int | None = None
        self._ready = True
        self.check_worker_number_rationality()

    _FIXED = frozenset(
        ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
    )

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in self._FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self) -> Any:
        """The context that worker processes come from; None for Python's default.

        ValueError for a start method that there is not, or without workers; TypeError for
        something else.
        """
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        if context is not None:
            import multiprocessing
            from multiprocessing.context import BaseContext

            if self.num_workers <= 0:
                raise ValueError(
                    "multiprocessing_context can only be used with multi-process loading "
                    f"(num_workers > 0), but got num_workers={self.num_workers}"
                )
            if isinstance(context, str):
                methods = multiprocessing.get_all_start_methods()
                if context not in methods:
                    raise ValueError(
                        "multiprocessing_context option should specify a valid start method in "
                        f"{methods}, but got multiprocessing_context={context!r}"
                    )
                context = multiprocessing.get_context(context)
            if not isinstance(context, BaseContext):
                raise TypeError(
                    "multiprocessing_context option should be a valid context object or a string "
                    f"specifying the start method, but got multiprocessing_context={context}"
                )
        self._context = context

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def check_worker_number_rationality(self) -> None:
        """Warn of more workers than this process has processors."""
        if self.num_workers == 0:
            return
        import os

        if hasattr(os, "sched_getaffinity"):
            available = len(os.sched_getaffinity(0))
        else:
            available = os.cpu_count() or self.num_workers
        if self.num_workers > available:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our "
                f"suggested max number of worker in current system is {available}: more of them "
                "may slow it down",
                stacklevel=3,
            )

    def __iter__(self) -> Iterator[Any]:
        if not self.persistent_workers:
            return self._get_iterator()
        if self._iterator is None or self._iterator.group.stopped:
            self._iterator = self._get_iterator()
        else:
            self._iterator.restart(self)
        return self._iterator

    def _get_iterator(self) -> Any:
        if self.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                stacklevel=3,
            )
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(self)
        from facula.utils.data._utils.multiprocess import MultiProcessIter

        self.check_worker_number_rationality()
        return MultiProcessIter(self)

    def __len__(self) -> int:
        if self._dataset_kind == _DatasetKind.Map:
            return len(self._index_sampler)
        n = self._IterableDataset_len_called = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class BaseIter:
    """What both iterators share: the indices, the base seed, and a check of promised lengths."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._begin(loader)
        generator = loader.generator or default_generator
        if isinstance(loader.dataset, IterDataPipe):
            set_seed(loader.dataset, int(generator.random_full(())))
        self._base_seed = int(generator.random_full(()))

    def _begin(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        self._indices = iter(loader._index_sampler)
        self._given = 0
        self._promised = loader._IterableDataset_len_called

    def __iter__(self) -> BaseIter:
        return self

    def __next__(self) -> Any:
        batch = self._next()
        self._given += 1
        promised = self._promised
        if promised is not None and self._given > promised:
            hint = ""
            if self._loader.num_workers:
                hint = (
                    " With several workers, __iter__ has to share the samples out by "
                    "get_worker_info(), or every sample comes once from each worker."
                )
            warnings.warn(
                f"Length of IterableDataset {self._loader.dataset} was reported to be {promised} "
                "(when accessing len(dataloader)), but "
                f"{self._given} samples have been fetched.{hint}",
                stacklevel=2,
            )
        return batch

    def _next(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _SingleProcessDataLoaderIter(BaseIter):
    """Makes every batch when it is asked for."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        if loader.timeout != 0:
            raise AssertionError("timeout needs num_workers > 0: nothing can interrupt a dataset")
        self._fetcher = make_fetcher(
            loader.dataset,
            loader._dataset_kind == _DatasetKind.Iterable,
            loader._auto_collation,
            loader.collate_fn,
            loader.drop_last,
        )

    def _next(self) -> Any:
        return self._fetcher.fetch(next(self._indices))


_BaseDataLoaderIter = BaseIter  # PyTorch's name
_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name == "_MultiProcessingDataLoaderIter":
        from facula.utils.data._utils.multiprocess import MultiProcessIter

        return MultiProcessIter
    return _missing(name)
