"""What may not be written in place."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised

import facula as torch


def test_expanded_memory_is_not_written():
    x = torch.zeros(1).expand(3)
    with pytest.raises(RuntimeError, match="single memory location"):
        x.add_(1)
    assert x.tolist() == [0, 0, 0]


@agrees
def test_operands_that_share_memory_with_what_is_written(torch):
    x = torch.arange(4.0)
    same = x[:]
    out = [raised(same.add_, x), raised(x[1:].add_, x[:-1]), raised(x[:1].unsqueeze(0).add_, x[:1])]
    z = torch.tensor(2.0)
    one = z[None]
    one[:] = z
    one.masked_fill_(one > 0, z)
    one.fill_(z)
    one[torch.tensor([True])] = z
    out += [one, raised(one.copy_, z), raised(lambda: one.__setitem__(None, one))]
    for op in (torch.cat, torch.stack):
        out.append(
            raised(lambda op=op: op([x[:2], x[2:]], out=x if op is torch.cat else x.view(2, 2)))
        )
    return out


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
def test_what_is_resized_to_fewer_elements_stays_where_it_is():
    seen = torch.zeros(3).numpy()
    x = torch.from_numpy(seen)
    torch.add(torch.ones(2), 1, out=x)
    assert seen.tolist() == [2, 2, 0]
    x.mul_(3)
    assert seen.tolist() == [6, 6, 0] and x.untyped_storage().nbytes() == 12
    torch.add(torch.zeros(3, 1), 1, out=x)
    assert seen.tolist() == [1, 1, 1]
