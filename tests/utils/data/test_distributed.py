"""DistributedSampler: the shares of PyTorch."""

from __future__ import annotations

import pytest
from utils.data import stored

from facula.utils.data import DistributedSampler


@pytest.mark.parametrize("case", stored.of("DistributedSampler"), ids=stored.name)
def test_shares_are_those_of_pytorch(case):
    options = dict(case["options"])
    n, replicas, epoch = options.pop("n"), options.pop("num_replicas"), options.pop("epoch", 0)

    def run(generator):
        out = []
        for rank in range(replicas):
            s = DistributedSampler(range(n), replicas, rank, **options)
            s.set_epoch(epoch)
            assert len(s) == len(list(s))
            out.append(list(s))
        return out

    stored.replay(case, run)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="Invalid rank 2"):
        DistributedSampler(range(4), 2, 2)
    with pytest.raises(ValueError, match="Invalid rank -1"):
        DistributedSampler(range(4), 2, -1)
    with pytest.raises(RuntimeError, match="distributed"):
        DistributedSampler(range(4))


def test_a_dataset_that_shrinks_is_noticed():
    data = list(range(8))
    s = DistributedSampler(data, 2, 0, drop_last=True)
    del data[4:]
    with pytest.raises(AssertionError, match="num_samples"):
        iter(s)


def test_no_samples():
    assert list(DistributedSampler([], 2, 1)) == []
