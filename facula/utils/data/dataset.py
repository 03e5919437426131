"""Datasets: what samples there are, by index or one after the other.

Source: https://pytorch.org/docs/stable/data.html#dataset-types
"""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import facula
from facula import Tensor
from facula.errors import honest

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by index: a subclass gives `__getitem__`, and usually `__len__`.

    It may give `__getitems__` as well, which takes a list of indices and returns a list of
    samples; loaders then ask for a batch at once. ``a + b`` is the concatenation of two datasets.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    # No `__len__` here: len() of a dataset without one is a TypeError, on which callers rely.

    def __add__(self, other: Dataset[T_co]) -> Dataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Samples one after the other: a subclass gives `__iter__`.

    In a loader with several workers every worker iterates over its own copy. Unless `__iter__` (or
    the loader's `worker_init_fn`) shares the work out, by `get_worker_info()`, each sample comes
    once from every worker. ``a + b`` is one dataset after the other.
    """

    @abstractmethod
    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other: Dataset[T_co]) -> Dataset[T_co]:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """The rows of tensors of one length; sample i is the tuple of their i-th rows.

    Raises AssertionError if the lengths differ.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        lengths = [t.size(0) for t in tensors]
        if len(set(lengths)) > 1:
            raise AssertionError(f"Size mismatch between tensors: they have lengths {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([t[index] for t in self.tensors])

    def __len__(self) -> int:
        return self.tensors[0].size(0)


class StackDataset(Dataset[Any]):
    """Several datasets side by side: sample i holds the i-th sample of each.

    Positional datasets give tuples, named ones give dicts. Raises ValueError for none, for both
    kinds at once, and if the lengths differ.
    """

    datasets: Any

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if args and kwargs:
            raise ValueError(
                "StackDataset takes positional datasets (for tuples) or named ones (for dicts), "
                "but both were given"
            )
        if not args and not kwargs:
            raise ValueError("StackDataset: at least one dataset should be passed")
        members = args or tuple(kwargs.values())
        lengths = [len(d) for d in members]  # type: ignore[arg-type]
        if len(set(lengths)) > 1:
            raise ValueError(f"Size mismatch between datasets: they have lengths {lengths}")
        self._length = lengths[0]
        self.datasets = args or kwargs

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple([dataset[index] for dataset in self.datasets])

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        """The samples of a list of indices."""
        if isinstance(self.datasets, dict):
            columns = [_several(d, indices) for d in self.datasets.values()]
            return [dict(zip(self.datasets, row)) for row in zip(*columns)]
        return list(zip(*[_several(d, indices) for d in self.datasets]))

    def __len__(self) -> int:
        return self._length


def _several(dataset: Any, indices: list[Any]) -> list[Any]:
    """Samples of a dataset, in one call where it offers that."""
    if callable(getattr(dataset, "__getitems__", None)):
        found = dataset.__getitems__(indices)
        if len(found) != len(indices):
            raise ValueError(
                f"{type(dataset).__name__}.__getitems__ was asked for {len(indices)} samples, but "
                f"returned {len(found)}"
            )
        return found
    return [dataset[i] for i in indices]


class ConcatDataset(Dataset[T_co]):
    """Datasets one behind the other, under indices that run through.

    Raises AssertionError for no dataset, or one of samples without indices.
    """

    datasets: list[Dataset[T_co]]
    cumulative_sizes: list[int]

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """The lengths of the members, summed up."""
        return list(itertools.accumulate(len(member) for member in sequence))

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: datasets should not be an empty iterable")
        for d in self.datasets:
            if isinstance(d, IterableDataset):
                raise AssertionError(
                    f"ConcatDataset does not support IterableDataset, but got a {type(d).__name__}"
                )
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError(
                    f"absolute value of index should not exceed dataset length: got {index} for a "
                    f"ConcatDataset of {len(self)} samples"
                )
            index += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]

    @property
    def cummulative_sizes(self) -> list[int]:
        """The old spelling of `cumulative_sizes`."""
        warnings.warn(
            "cummulative_sizes attribute is renamed to cumulative_sizes",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.cumulative_sizes


class ChainDataset(IterableDataset[Any]):
    """Iterable datasets, one after the other. Raises AssertionError for members of other kinds."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        super().__init__()
        self.datasets = datasets

    def _members(self) -> Iterator[Any]:
        for d in self.datasets:
            if not isinstance(d, IterableDataset):
                raise AssertionError(
                    f"ChainDataset only supports IterableDataset, but got a {type(d).__name__}"
                )
            yield d

    def __iter__(self) -> Iterator[Any]:
        for d in self._members():
            yield from d

    def __len__(self) -> int:
        return sum([len(d) for d in self._members()])


class Subset(Dataset[T_co]):
    """The samples of a dataset at the given indices, in their order."""

    dataset: Dataset[T_co]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        """The samples of a list of indices."""
        chosen = [self.indices[i] for i in indices]
        if callable(getattr(self.dataset, "__getitems__", None)):
            return self.dataset.__getitems__(chosen)  # type: ignore[attr-defined]
        return [self.dataset[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[T], lengths: Sequence[int | float], generator: Any = None
) -> list[Subset[T]]:
    """Split a dataset at random into subsets of the given lengths, or fractions of at most 1.

    Fractions are rounded down to whole samples; what is left over goes to the subsets from the
    first on, one sample each. ``generator``: where the numbers come from, default the default
    generator. Raises ValueError if the lengths do not add up or a fraction is outside [0, 1].

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.random_split
    """
    total = len(dataset)  # type: ignore[arg-type]
    whole = sum(lengths)
    sizes: Sequence[Any] = lengths
    if whole <= 1 and math.isclose(whole, 1):
        sizes = _shares(total, lengths)
    if sum(sizes) != total:
        raise ValueError(
            f"random_split: Sum of input lengths does not equal the length of the input dataset! "
            f"lengths={list(lengths)}, len(dataset)={total}"
        )
    order = facula.randperm(total, generator=generator).tolist()  # type: ignore[attr-defined]
    ends = list(itertools.accumulate(sizes))
    return [Subset(dataset, order[end - n : end]) for n, end in zip(sizes, ends)]


def _shares(total: int, fractions: Sequence[float]) -> list[int]:
    """How many samples each fraction of `total` gets."""
    sizes = []
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"Fraction at index {i} is not between 0 and 1: {fraction}")
        sizes.append(math.floor(total * fraction))
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    for i, size in enumerate(sizes):
        if size == 0:
            warnings.warn(
                f"Length of split at index {i} is 0. This might result in an empty dataset.",
                stacklevel=3,
            )
    return sizes


__getattr__ = honest(__name__)
