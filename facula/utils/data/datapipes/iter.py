"""Pipes of samples one after the other.

Source: https://docs.pytorch.org/data/0.7/torchdata.datapipes.iter.html
"""

from __future__ import annotations

import copy
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Any

from facula.errors import honest
from facula.utils.data._utils.collate import default_collate
from facula.utils.data.datapipes.datapipe import (
    DataChunk,
    IterDataPipe,
    ShuffledDataPipe,
    functional_datapipe,
)
from facula.utils.data.datapipes.files import (
    FileListerIterDataPipe,
    FileOpenerIterDataPipe,
    StreamReaderIterDataPipe,
)
from facula.utils.data.sampler import SequentialSampler

__all__ = [
    "Batcher",
    "Collator",
    "Concater",
    "Demultiplexer",
    "FileLister",
    "FileOpener",
    "Filter",
    "Forker",
    "Grouper",
    "IterableWrapper",
    "Mapper",
    "Multiplexer",
    "Sampler",
    "ShardingFilter",
    "Shuffler",
    "StreamReader",
    "UnBatcher",
    "Zipper",
]


def length_of(pipe: Any, source: Any) -> int:
    """The length of what a pipe reads; TypeError where it has none."""
    if not isinstance(source, Sized):
        raise TypeError(f"{type(pipe).__name__} instance doesn't have valid length")
    return len(source)


class IterableWrapperIterDataPipe(IterDataPipe):
    """The samples of an iterable, of which each iteration has a copy of its own."""

    def __init__(self, iterable: Any, deepcopy: bool = True) -> None:
        self.iterable = iterable
        self.deepcopy = deepcopy

    def __iter__(self) -> Iterator[Any]:
        source = self.iterable
        if self.deepcopy:
            try:
                source = copy.deepcopy(source)
            except TypeError:
                warnings.warn(
                    "The input iterable can not be deepcopied, please be aware of in-place "
                    "modification would affect source data.",
                    stacklevel=2,
                )
        yield from source

    def __len__(self) -> int:
        return length_of(self, self.iterable)


@functional_datapipe("map")
class MapperIterDataPipe(IterDataPipe):
    """A function of every sample, or of some of its columns.

    Without `output_col` the result takes the place of the first of `input_col`, and the others go;
    -1 puts it at the end.
    """

    def __init__(
        self, datapipe: Any, fn: Callable[..., Any], input_col: Any = None, output_col: Any = None
    ) -> None:
        if input_col is None and output_col is not None:
            raise ValueError("`output_col` must be None when `input_col` is None.")
        if isinstance(output_col, (list, tuple)):
            if len(output_col) > 1:
                raise ValueError("`output_col` must be a single-element list or tuple")
            output_col = output_col[0]
        self.datapipe, self.fn = datapipe, fn
        self.input_col, self.output_col = input_col, output_col

    def _apply_fn(self, data: Any) -> Any:
        columns = self.input_col
        if columns is None:
            return self.fn(data)
        several = isinstance(columns, (list, tuple))
        made = self.fn(*[data[c] for c in columns]) if several else self.fn(data[columns])
        out = list(data) if isinstance(data, tuple) else data
        if self.output_col == -1:
            out.append(made)
        elif self.output_col is not None:
            out[self.output_col] = made
        elif several:
            out[columns[0]] = made
            for c in sorted(columns[1:], reverse=True):
                del out[c]
        else:
            out[columns] = made
        return tuple(out) if isinstance(data, tuple) else out

    def __iter__(self) -> Iterator[Any]:
        for data in self.datapipe:
            yield self._apply_fn(data)

    def __len__(self) -> int:
        return length_of(self, self.datapipe)


@functional_datapipe("collate")
class CollatorIterDataPipe(MapperIterDataPipe):
    """Every sample, which is a batch of them, made tensors of."""

    def __init__(
        self, datapipe: Any, conversion: Any = default_collate, collate_fn: Any = None
    ) -> None:
        super().__init__(datapipe, fn=conversion if collate_fn is None else collate_fn)


@functional_datapipe("filter")
class FilterIterDataPipe(IterDataPipe):
    """The samples, of which a function of them (or of some of their columns) is True."""

    def __init__(self, datapipe: Any, filter_fn: Callable[..., Any], input_col: Any = None) -> None:
        self.datapipe, self.filter_fn, self.input_col = datapipe, filter_fn, input_col

    def __iter__(self) -> Iterator[Any]:
        columns = self.input_col
        for data in self.datapipe:
            if columns is None:
                keep = self.filter_fn(data)
            elif isinstance(columns, (list, tuple)):
                keep = self.filter_fn(*[data[c] for c in columns])
            else:
                keep = self.filter_fn(data[columns])
            if not isinstance(keep, bool):
                raise ValueError(
                    "Boolean output is required for `filter_fn` of FilterIterDataPipe, got "
                    f"{type(keep)}"
                )
            if keep:
                yield data


@functional_datapipe("batch")
class BatcherIterDataPipe(IterDataPipe):
    """Batches of samples; a last one that is smaller, unless it is dropped."""

    def __init__(
        self,
        datapipe: Any,
        batch_size: int,
        drop_last: bool = False,
        wrapper_class: type[DataChunk[Any]] = DataChunk,
    ) -> None:
        if batch_size <= 0:
            raise AssertionError("Batch size is required to be larger than 0!")
        self.datapipe, self.batch_size, self.drop_last = datapipe, batch_size, drop_last
        self.wrapper_class = wrapper_class

    def __iter__(self) -> Iterator[Any]:
        batch: list[Any] = []
        for x in self.datapipe:
            batch.append(x)
            if len(batch) == self.batch_size:
                yield self.wrapper_class(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.wrapper_class(batch)

    def __len__(self) -> int:
        n = length_of(self, self.datapipe)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


@functional_datapipe("unbatch")
class UnBatcherIterDataPipe(IterDataPipe):
    """The samples in batches; of batches of batches, as many levels as told (-1: all)."""

    def __init__(self, datapipe: Any, unbatch_level: int = 1) -> None:
        self.datapipe, self.unbatch_level = datapipe, unbatch_level

    def __iter__(self) -> Iterator[Any]:
        for x in self.datapipe:
            yield from self._dive(x, self.unbatch_level)

    def _dive(self, x: Any, level: int) -> Iterator[Any]:
        if level < -1:
            raise ValueError("unbatch_level must be -1 or >= 0")
        if level == 0 or (level == -1 and not isinstance(x, (list, DataChunk))):
            yield x
        elif isinstance(x, (list, DataChunk)):
            for part in x:
                yield from self._dive(part, max(level - 1, -1))
        else:
            raise IndexError(
                f"unbatch_level {self.unbatch_level} exceeds the depth of the DataPipe"
            )


@functional_datapipe("shuffle")
class ShufflerIterDataPipe(ShuffledDataPipe):
    """The samples in a random order, drawn from a buffer of so many."""

    def __init__(self, datapipe: Any, *, buffer_size: int = 10000, unbatch_level: int = 0) -> None:
        if buffer_size <= 0:
            raise ValueError("buffer_size should be larger than 0")
        super().__init__()
        self.datapipe = datapipe.unbatch(unbatch_level) if unbatch_level else datapipe
        self.buffer_size = buffer_size

    def __iter__(self) -> Iterator[Any]:
        if not self._enabled:
            yield from self.datapipe
            return
        buffer: list[Any] = []
        for x in self.datapipe:
            if len(buffer) == self.buffer_size:
                i = self._rng.randint(0, len(buffer) - 1)
                chosen, buffer[i] = buffer[i], x
                yield chosen
            else:
                buffer.append(x)
        while buffer:
            yield buffer.pop(self._rng.randint(0, len(buffer) - 1))

    def __len__(self) -> int:
        return length_of(self, self.datapipe)


class SamplerIterDataPipe(IterDataPipe):
    """What a sampler draws from a pipe."""

    def __init__(
        self,
        datapipe: Any,
        sampler: Any = SequentialSampler,
        sampler_args: tuple[Any, ...] | None = None,
        sampler_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.datapipe = datapipe
        self.sampler = sampler(
            *(sampler_args or ()), data_source=datapipe, **(sampler_kwargs or {})
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sampler)

    def __len__(self) -> int:
        return length_of(self, self.sampler)


def _all_pipes(pipes: Sequence[Any], what: str) -> None:
    if not pipes:
        raise ValueError(f"Expected at least one DataPipe, but got nothing for {what}")
    if not all(isinstance(p, IterDataPipe) for p in pipes):
        raise TypeError("Expected all inputs to be `IterDataPipe`")


@functional_datapipe("concat")
class ConcaterIterDataPipe(IterDataPipe):
    """One pipe after the other."""

    def __init__(self, *datapipes: Any) -> None:
        _all_pipes(datapipes, "concat")
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        for pipe in self.datapipes:
            yield from pipe

    def __len__(self) -> int:
        return sum(length_of(self, p) for p in self.datapipes)


@functional_datapipe("zip")
class ZipperIterDataPipe(IterDataPipe):
    """Tuples of a sample of each pipe, until the shortest ends."""

    def __init__(self, *datapipes: Any) -> None:
        _all_pipes(datapipes, "zip")
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        yield from zip(*self.datapipes, strict=False)

    def __len__(self) -> int:
        return min(length_of(self, p) for p in self.datapipes)


@functional_datapipe("mux")
class MultiplexerIterDataPipe(IterDataPipe):
    """A sample of each pipe in turn, until the shortest ends."""

    def __init__(self, *datapipes: Any) -> None:
        _all_pipes(datapipes, "mux")
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        for row in zip(*self.datapipes, strict=False):
            yield from row

    def __len__(self) -> int:
        return min(length_of(self, p) for p in self.datapipes) * len(self.datapipes)


class _Split:
    """One iteration of a pipe for several readers, each of which gets some of the samples."""

    def __init__(self, source: Any, readers: int, limit: int, choose: Any) -> None:
        self.source, self.readers, self.limit, self.choose = source, readers, limit, choose
        self.begun: set[int] = set()
        self.round = 0

    def begin(self, reader: int) -> int:
        """The number of the iteration that the reader takes part in."""
        if reader in self.begun or not self.round:
            self.round += 1
            self.begun = set()
            self.values = iter(self.source)
            self.waiting: list[deque[Any]] = [deque() for _ in range(self.readers)]
        self.begun.add(reader)
        return self.round

    def next(self, reader: int) -> Any:
        """The reader's next sample; the others' wait for them."""
        mine = self.waiting[reader]
        while not mine:
            x = next(self.values)
            for k in self.choose(x):
                self.waiting[k].append(x)
                if self.limit >= 0 and len(self.waiting[k]) > self.limit and k != reader:
                    raise BufferError(
                        f"buffer overflow, buffer size {self.limit} is insufficient: one reader "
                        "of a pipe is too far ahead of the others"
                    )
        return mine.popleft()


class _ChildDataPipe(IterDataPipe):
    def __init__(self, main_datapipe: Any, split: _Split, instance_id: int) -> None:
        self.main_datapipe, self._split, self.instance_id = main_datapipe, split, instance_id

    def __iter__(self) -> Iterator[Any]:
        return self._samples(self._split.begin(self.instance_id))

    def _samples(self, round: int) -> Iterator[Any]:
        while True:
            if round != self._split.round:
                raise RuntimeError(
                    "This iterator has been invalidated because another iterator has been created "
                    "from one of the pipes that were split with it"
                )
            try:
                x = self._split.next(self.instance_id)
            except StopIteration:
                return
            yield x

    def __len__(self) -> int:
        if self._split.limit == _DEMUX:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return length_of(self, self.main_datapipe)


_DEMUX = -2


@functional_datapipe("fork")
class ForkerIterDataPipe(IterDataPipe):
    """Several pipes of the same samples: `one, two = pipe.fork(2)`."""

    def __new__(  # type: ignore[misc]
        cls, datapipe: Any, num_instances: int, buffer_size: int = 1000, copy: str | None = None
    ) -> Any:
        if num_instances < 1:
            raise ValueError(
                f"Expected `num_instances` larger than 0, but {num_instances} is found"
            )
        if copy is not None:
            raise NotImplementedError("fork(): copy is not in Facula")
        if num_instances == 1:
            return [datapipe]
        every = range(num_instances)
        split = _Split(datapipe, num_instances, buffer_size, lambda x: every)
        return [_ChildDataPipe(datapipe, split, i) for i in every]


@functional_datapipe("demux")
class DemultiplexerIterDataPipe(IterDataPipe):
    """Several pipes, each with the samples of which a function gives its number."""

    def __new__(  # type: ignore[misc]
        cls,
        datapipe: Any,
        num_instances: int,
        classifier_fn: Callable[[Any], int | None],
        drop_none: bool = False,
        buffer_size: int = 1000,
    ) -> Any:
        if num_instances < 1:
            raise ValueError(
                f"Expected `num_instances` larger than 0, but {num_instances} is found"
            )

        def choose(x: Any) -> tuple[int, ...]:
            k = classifier_fn(x)
            if k is None and drop_none:
                return ()
            if k is None or not 0 <= k < num_instances:
                raise ValueError(
                    f"Output of the classification fn should be between 0 and {num_instances - 1}. "
                    f"{k} is returned."
                )
            return (k,)

        split = _Split(datapipe, num_instances, buffer_size, choose)
        return [_ChildDataPipe(datapipe, split, i) for i in range(num_instances)]


@functional_datapipe("groupby")
class GrouperIterDataPipe(IterDataPipe):
    """Batches of samples of which a function gives the same key.

    A group ends at `group_size`; where the buffer is full, the largest comes as it is, or, below
    `guaranteed_group_size`, is an error (or dropped, with `drop_remaining`).
    """

    def __init__(
        self,
        datapipe: Any,
        group_key_fn: Callable[[Any], Any],
        *,
        keep_key: bool = False,
        buffer_size: int = 10000,
        group_size: int | None = None,
        guaranteed_group_size: int | None = None,
        drop_remaining: bool = False,
    ) -> None:
        self.datapipe, self.group_key_fn, self.keep_key = datapipe, group_key_fn, keep_key
        self.max_buffer_size, self.group_size = buffer_size, group_size
        self.guaranteed_group_size = guaranteed_group_size
        if group_size is not None and buffer_size is not None:
            if not 0 < group_size <= buffer_size:
                raise ValueError("group_size must be > 0 and <= buffer_size")
            self.guaranteed_group_size = group_size
        if guaranteed_group_size is not None:
            if group_size is None or not 0 < guaranteed_group_size <= group_size:
                raise ValueError("guaranteed_group_size must be > 0 and <= group_size")
            self.guaranteed_group_size = guaranteed_group_size
        self.drop_remaining = drop_remaining

    def _made(self, key: Any, group: list[Any]) -> Any:
        return (key, DataChunk(group)) if self.keep_key else DataChunk(group)

    def __iter__(self) -> Iterator[Any]:
        groups: dict[Any, list[Any]] = {}
        held = 0
        for x in self.datapipe:
            key = self.group_key_fn(x)
            group = groups.setdefault(key, [])
            group.append(x)
            held += 1
            if len(group) == self.group_size:
                held -= len(group)
                yield self._made(key, groups.pop(key))
            if held == self.max_buffer_size:
                key = max(groups, key=lambda k: len(groups[k]))
                group = groups.pop(key)
                held -= len(group)
                if self.guaranteed_group_size is None or len(group) >= self.guaranteed_group_size:
                    yield self._made(key, group)
                elif not self.drop_remaining:
                    raise RuntimeError(f"Failed to group items: {group}")
        for key, group in groups.items():
            yield self._made(key, group)


@functional_datapipe("sharding_filter")
class ShardingFilterIterDataPipe(IterDataPipe):
    """Every n-th sample in each of n workers of a loader."""

    def __init__(self, source_datapipe: Any, sharding_group_filter: Any = None) -> None:
        self.source_datapipe = source_datapipe
        self.num_of_instances, self.instance_id = 1, 0

    def apply_sharding(
        self, num_of_instances: int, instance_id: int, sharding_group: Any = None
    ) -> None:
        """Take the samples of one of so many instances."""
        if instance_id >= num_of_instances:
            raise ValueError(
                f"instance_id({instance_id}) should be smaller than num_of_instances"
                f"({num_of_instances})"
            )
        self.num_of_instances, self.instance_id = num_of_instances, instance_id

    def __iter__(self) -> Iterator[Any]:
        for i, x in enumerate(self.source_datapipe):
            if i % self.num_of_instances == self.instance_id:
                yield x

    def __len__(self) -> int:
        n = length_of(self, self.source_datapipe)
        return n // self.num_of_instances + (self.instance_id < n % self.num_of_instances)


Batcher = BatcherIterDataPipe
Collator = CollatorIterDataPipe
Concater = ConcaterIterDataPipe
Demultiplexer = DemultiplexerIterDataPipe
FileLister = FileListerIterDataPipe
FileOpener = FileOpenerIterDataPipe
Filter = FilterIterDataPipe
Forker = ForkerIterDataPipe
Grouper = GrouperIterDataPipe
IterableWrapper = IterableWrapperIterDataPipe
Mapper = MapperIterDataPipe
Multiplexer = MultiplexerIterDataPipe
Sampler = SamplerIterDataPipe
ShardingFilter = ShardingFilterIterDataPipe
Shuffler = ShufflerIterDataPipe
StreamReader = StreamReaderIterDataPipe
UnBatcher = UnBatcherIterDataPipe
Zipper = ZipperIterDataPipe

__getattr__ = honest(__name__)
