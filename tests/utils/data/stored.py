"""The cases that tests/generate/data.py has stored, and what they need to run again."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import facula
from facula.utils.data import IterableDataset, get_worker_info

CASES = json.loads((Path(__file__).parents[2] / "data" / "utils_data.json").read_text())


def of(*kinds):
    """The stored cases of these kinds."""
    return [c for c in CASES if c["kind"] in kinds]


def name(case):
    """A readable name for a case."""
    return f"{case['kind']}-{case['options']}-{case['seed']}-{case['own']}"


def replay(case, run):
    """Run a case after its seeds; compares the result and where the generators were left."""
    facula.manual_seed(case["seed"])
    own = None if case["own"] is None else facula.Generator().manual_seed(case["own"])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Length of split|This DataLoader will create")
        assert run(own) == case["result"]
    assert facula.randint(2**40, ()).item() == case["next"]
    if own is not None:
        assert facula.randint(2**40, (), generator=own).item() == case["next_own"]


class Eager:
    """A sampler that draws as soon as it is asked for an iterator."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(facula.randperm(self.n).tolist())


class Shards(IterableDataset):
    """Streams of different lengths from different workers."""

    def __init__(self, *lengths):
        self.lengths = lengths

    def __iter__(self):
        w = get_worker_info()
        return iter(range(w.id * 100, w.id * 100 + self.lengths[w.id]))


def plain(batches):
    """Batches as lists."""
    return [b.tolist() if facula.is_tensor(b) else b for b in batches]
