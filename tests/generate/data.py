"""What PyTorch's samplers, splits and loaders give after a seed, for tests/utils/data.

    python tests/generate/data.py    # with PyTorch; writes tests/data/utils_data.json

Every case holds what came out and the next number of the generator that was drawn from, so that
a draw too many or too few is seen as well.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
    random_split,
)

OUT = Path(__file__).resolve().parents[1] / "data" / "utils_data.json"
WEIGHTS = [0.1, 2.0, 0.0, 1.5, 0.4, 3.0]


class Eager:
    """A sampler that draws as soon as it is asked for an iterator."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(torch.randperm(self.n).tolist())


class Shards(IterableDataset):
    """Streams of different lengths from different workers."""

    def __init__(self, *lengths):
        self.lengths = lengths

    def __iter__(self):
        w = get_worker_info()
        return iter(range(w.id * 100, w.id * 100 + self.lengths[w.id]))


def generator(seed):
    return None if seed is None else torch.Generator().manual_seed(seed)


def following(g):
    return torch.randint(2**40, (), generator=g).item()


def cases():
    def case(kind, options, run, seed=0, own=None):
        torch.manual_seed(seed)
        g = generator(own)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = run(g)
        return {
            "kind": kind,
            "options": options,
            "seed": seed,
            "own": own,
            "result": result,
            "next": following(None),
            "next_own": None if g is None else following(g),
        }

    for own in (None, 7):
        for seed in (0, 1):
            for n in (1, 2, 10, 100):
                for o in (
                    {},
                    {"num_samples": 2 * n + 1},
                    {"replacement": True},
                    {"replacement": True, "num_samples": 70},
                    {"num_samples": max(1, n // 2)},
                ):
                    yield case(
                        "RandomSampler",
                        {"n": n, **o},
                        lambda g, n=n, o=o: [
                            list(s)
                            for s in [RandomSampler(range(n), **o, generator=g)]
                            for _ in range(2)
                        ],
                        seed,
                        own,
                    )
            for n in (0, 1, 9):
                yield case(
                    "SubsetRandomSampler",
                    {"n": n},
                    lambda g, n=n: list(SubsetRandomSampler(range(5, 5 + n), g)),
                    seed,
                    own,
                )
            for k, replacement in ((1, True), (20, True), (1, False), (5, False)):
                yield case(
                    "WeightedRandomSampler",
                    {"weights": WEIGHTS, "num_samples": k, "replacement": replacement},
                    lambda g, k=k, r=replacement: list(
                        WeightedRandomSampler(WEIGHTS, k, r, generator=g)
                    ),
                    seed,
                    own,
                )
            for n, lengths in (
                (10, [5, 3, 2]),
                (10, [0.5, 0.3, 0.2]),
                (7, [0.1] * 10),
                (3, [1.0]),
                (1, [1, 0]),
                (11, [0.33, 0.67]),
                (0, [0, 0]),
            ):
                yield case(
                    "random_split",
                    {"n": n, "lengths": lengths},
                    lambda g, n=n, lengths=lengths: [
                        list(s.indices)
                        for s in random_split(
                            range(n), lengths, generator=g or torch.default_generator
                        )
                    ],
                    seed,
                    own,
                )
            for o in (
                {"shuffle": True, "batch_size": 3},
                {"shuffle": True, "batch_size": 3, "drop_last": True},
                {"shuffle": True, "batch_size": None},
                {"batch_size": 4},
                {"shuffle": True, "batch_size": 3, "num_workers": 2},
                {"batch_size": 3, "num_workers": 1, "shuffle": True, "persistent_workers": True},
            ):
                yield case("DataLoader", o, lambda g, o=o: loader(o, g), seed, own)
    yield case("Eager", {"n": 10}, lambda g: epochs(DataLoader(range(10), sampler=Eager(10))))
    yield case(
        "EagerBatches",
        {"n": 10},
        lambda g: epochs(DataLoader(range(10), batch_sampler=BatchSampler(Eager(10), 4, False))),
    )
    for replicas, n, drop_last in ((3, 10, False), (3, 10, True), (4, 3, False), (8, 3, False)):
        for o in ({}, {"shuffle": False}, {"seed": 5, "epoch": 3}):
            yield case(
                "DistributedSampler",
                {"n": n, "num_replicas": replicas, "drop_last": drop_last, **o},
                lambda g, n=n, r=replicas, d=drop_last, o=o: shares(n, r, d, **o),
            )
    for lengths in ((3, 5), (5, 3), (0, 4), (2, 7, 1), (6,), (4, 4, 4)):
        for o in (
            {"batch_size": 2},
            {"batch_size": None},
            {"batch_size": 2, "drop_last": True},
            {"batch_size": 3, "prefetch_factor": 1},
        ):
            o = {**o, "num_workers": len(lengths)}
            yield case(
                "Shards",
                {"lengths": lengths, **o},
                lambda g, s=lengths, o=o: plain(DataLoader(Shards(*s), **o)),
            )


def plain(batches):
    return [b.tolist() if torch.is_tensor(b) else b for b in batches]


def epochs(loader):
    return [plain(loader), plain(loader)]


def loader(options, g):
    return epochs(DataLoader(range(10), generator=g, **options))


def shares(n, replicas, drop_last, epoch=0, **options):
    out = []
    for rank in range(replicas):
        s = DistributedSampler(range(n), replicas, rank, drop_last=drop_last, **options)
        s.set_epoch(epoch)
        out.append(list(s))
    return out


if __name__ == "__main__":
    found = list(cases())
    OUT.write_text("[\n" + ",\n".join(json.dumps(c) for c in found) + "\n]\n")
    print(f"{len(found)} cases, {OUT.stat().st_size} bytes")
