"""Taking samples out of a dataset, in the process where the dataset is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import facula
from facula.utils.data._utils.collate import default_collate
from facula.utils.data.dataset import Subset, TensorDataset


def rows(dataset: Any, index: list[Any]) -> list[facula.Tensor] | None:
    """What `default_collate` makes of these samples of a `TensorDataset`; None of another dataset.

    The rows of a tensor taken at once are the same as its views, one a sample, stacked again, and
    those cost thirty times what copying the elements does.
    """
    while type(dataset) is Subset:
        index = [dataset.indices[i] for i in index]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or not all([type(i) is int for i in index]):
        return None
    if any([type(t) is not facula.Tensor for t in dataset.tensors]):
        return None
    at = facula.tensor(index)  # type: ignore[operator]
    return [t[at] for t in dataset.tensors]


class MapFetcher:
    """Samples by index; with `batched`, an index is a list of them."""

    def __init__(self, dataset: Any, batched: bool, collate_fn: Callable[[Any], Any]) -> None:
        self.dataset, self.batched, self.collate_fn = dataset, batched, collate_fn

    def fetch(self, index: Any) -> Any:
        """The batch (or sample) of this index."""
        if not self.batched:
            return self.collate_fn(self.dataset[index])
        if self.collate_fn is default_collate and index:
            batch = rows(self.dataset, index)
            if batch is not None:
                return batch
        if getattr(self.dataset, "__getitems__", None):
            return self.collate_fn(self.dataset.__getitems__(index))
        return self.collate_fn([self.dataset[i] for i in index])


class IterableFetcher:
    """Samples as they come; an index says how many, not which."""

    def __init__(
        self, dataset: Any, batched: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.samples = iter(dataset)
        self.batched, self.collate_fn, self.drop_last = batched, collate_fn, drop_last

    def fetch(self, index: Any) -> Any:
        """The next batch (or sample); StopIteration at the end."""
        if not self.batched:
            return self.collate_fn(next(self.samples))
        batch = list(itertools.islice(self.samples, len(index)))
        if not batch or (self.drop_last and len(batch) < len(index)):
            raise StopIteration
        return self.collate_fn(batch)


def make_fetcher(
    dataset: Any, iterable: bool, batched: bool, collate_fn: Callable[[Any], Any], drop_last: bool
) -> MapFetcher | IterableFetcher:
    """The fetcher for the kind of dataset."""
    if iterable:
        return IterableFetcher(dataset, batched, collate_fn, drop_last)
    return MapFetcher(dataset, batched, collate_fn)
