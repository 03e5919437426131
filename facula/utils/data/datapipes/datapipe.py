"""What pipes have in common: their methods by name, and one iterator at a time."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar

import facula
from facula.errors import honest
from facula.generator import Generator
from facula.utils.data.dataset import Dataset, IterableDataset

__all__ = ["DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe", "functional_datapipe"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class DataChunk(list[T]):
    """A batch of samples: a list."""

    @property
    def items(self) -> list[T]:
        """The samples."""
        return list(self)

    def as_str(self, indent: str = "") -> str:
        """The samples as a line of text."""
        return indent + "[" + ", ".join(map(str, self)) + "]"

    def raw_iterator(self) -> Iterator[T]:
        """The samples, one after the other."""
        yield from self


class _Named:
    """Pipes whose class has a name, `functional_datapipe("batch")`, are made by that method."""

    functions: dict[str, Callable[..., Any]]

    def __getattr__(self, name: str) -> Any:
        make = type(self).functions.get(name)
        if make is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return functools.partial(make, self)

    @classmethod
    def register_function(cls, function_name: str, function: Callable[..., Any]) -> None:
        """Make a function of a pipe a method of all of them."""
        cls.functions[function_name] = function

    @classmethod
    def register_datapipe_as_function(
        cls, function_name: str, cls_to_register: Any, enable_df_api_tracing: bool = False
    ) -> None:
        """Make a class, of which the first argument is a pipe, a method of all pipes."""
        if function_name in cls.functions:
            raise Exception(
                f"Unable to add DataPipe function name {function_name} as it is already taken"
            )
        cls.functions[function_name] = cls_to_register

    def __repr__(self) -> str:
        return type(self).__qualname__

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *type(self).functions]


class _Reader(Iterator[Any]):
    """An iterator of a pipe, until the next one is made."""

    def __init__(self, pipe: IterDataPipe[Any], values: Iterator[Any]) -> None:
        self._pipe, self._values, self._number = pipe, values, pipe._iteration

    def __next__(self) -> Any:
        if self._number != self._pipe._iteration:
            raise RuntimeError(
                "This iterator has been invalidated because another iterator has been created from "
                f"the same IterDataPipe: {self._pipe!r}. This may be caused by multiple references "
                "to the same IterDataPipe: use .fork() for that"
            )
        return next(self._values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)


class IterDataPipe(_Named, IterableDataset[T_co]):
    """Samples one after the other: a subclass gives `__iter__`, and `reset` if it has a state.

    A pipe has one iterator at a time: a second one ends the first.
    """

    functions: dict[str, Callable[..., Any]] = {}
    _iteration = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        read = cls.__dict__.get("__iter__")
        if read is not None:

            @functools.wraps(read)
            def begin(self: Any) -> Iterator[Any]:
                if type(self).__iter__ is not begin:  # called by a subclass
                    return read(self)
                self._iteration += 1
                self.reset()
                got = read(self)
                return _Reader(self, got if hasattr(got, "__next__") else iter(got))

            cls.__iter__ = begin  # type: ignore[method-assign]

    def __iter__(self) -> Iterator[T_co]:
        return self  # type: ignore[return-value]

    def reset(self) -> None:
        """Back to the beginning; called before every iteration."""


class DFIterDataPipe(IterDataPipe[T_co]):
    """A pipe of data frames."""


class ShuffledDataPipe(IterDataPipe[T_co]):
    """Whether a pipe that can shuffle does so, and by which seed."""

    def __init__(self) -> None:
        self._enabled = True
        self._seed: int | None = None
        self._rng = random.Random()

    def set_shuffle(self, shuffle: bool = True) -> Self:
        """Whether to shuffle at all."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed: int) -> Self:
        """Draw the next order with this seed; without one each has a seed of its own."""
        self._seed = seed
        return self

    def reset(self) -> None:
        """Seed the next order."""
        if self._enabled:
            seed = self._seed
            if seed is None:
                seed = int(facula.empty((), dtype=facula.int64).random_().item())
            self._rng.seed(seed)
            self._seed = None


class MapDataPipe(_Named, Dataset[T_co]):
    """Samples by index: a subclass gives `__getitem__`, and usually `__len__`."""

    functions: dict[str, Callable[..., Any]] = {}


class functional_datapipe:
    """A decorator that gives pipes a method which makes one of the class.

    @functional_datapipe("plus")
    class Plus(IterDataPipe): ...
    """

    def __init__(self, name: str, enable_df_api_tracing: bool = False) -> None:
        self.name = name
        self.enable_df_api_tracing = enable_df_api_tracing

    def __call__(self, cls: Any) -> Any:
        kind = IterDataPipe if issubclass(cls, IterDataPipe) else MapDataPipe
        if not issubclass(cls, kind):
            raise TypeError("`functional_datapipe` can only decorate IterDataPipe and MapDataPipe")
        kind.register_datapipe_as_function(self.name, cls)
        return cls


def parts(pipe: Any) -> Iterator[Any]:
    """A pipe and all pipes that it reads from, each once."""
    seen: set[int] = set()
    ahead = [pipe]
    while ahead:
        one = ahead.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (IterDataPipe, MapDataPipe)):
            yield one
            ahead.extend(vars(one).values())
        elif isinstance(one, (list, tuple)):
            ahead.extend(one)
        elif isinstance(one, dict):
            ahead.extend(one.values())


def set_shuffle(pipe: Any, shuffle: bool) -> None:
    """Whether the shufflers among the parts of a pipe shuffle, where a loader is told."""
    for part in parts(pipe):
        if hasattr(type(part), "set_shuffle"):
            part.set_shuffle(shuffle)


def set_seed(pipe: Any, seed: int) -> None:
    """Seed the shufflers among the parts of a pipe for the next iteration of a loader."""
    generator = Generator().manual_seed(seed)
    for part in parts(pipe):
        if hasattr(type(part), "set_seed"):
            part.set_seed(int(generator.random_full(())))


def share_out(pipe: Any, workers: int, worker: int) -> None:
    """Let the sharding filters among the parts of a pipe take the samples of one worker."""
    for part in parts(pipe):
        if hasattr(type(part), "apply_sharding"):
            part.apply_sharding(workers, worker)


__getattr__ = honest(__name__)
