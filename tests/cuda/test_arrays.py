"""The pool of the device's memory."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import facula as torch
from facula.cuda.arrays import POOL, Block, Pool


def test_memory_that_is_not_there(emulated: Any, monkeypatch: Any) -> None:
    def refuse(nbytes: int) -> int:
        raise torch.OutOfMemoryError("CUDA out of memory")

    used = POOL.used
    monkeypatch.setattr(emulated, "allocate", refuse)
    with pytest.raises(torch.OutOfMemoryError):
        Block(123 << 20)
    gc.collect()
    assert POOL.used == used


def test_the_lowest_address_is_given_out_first(emulated: Any) -> None:
    pool = Pool()
    size = pool.rounded(700)
    assert size == 1024 and pool.rounded(1) == 512 and pool.rounded((1 << 20) + 1) == 2 << 20
    a, b, c = sorted([pool.take(size) for _ in range(3)])
    for address in (c, a, b):
        pool.give(address, size)
    assert [pool.take(size) for _ in range(3)] == [a, b, c]
    assert pool.used == pool.held == pool.most_held == 3 * size
    for address in (a, b, c):
        pool.give(address, size)
    pool.trim()
    assert pool.held == 0 and pool.used == 0


def test_a_tensor_is_given_another_size(device: Any) -> None:
    a = torch.arange(6.0).to("cuda")
    a.resize_(2, 2)
    assert a.cpu().tolist() == [[0.0, 1.0], [2.0, 3.0]]
    a = torch.arange(6.0).to("cuda")
    a.resize_(8)
    assert a.is_cuda and a.cpu()[:6].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_bytes_of_a_view_are_those_of_its_elements(device: Any) -> None:
    x = torch.ones(4, 6).to("cuda")
    rows = x.t()[:3]
    torch.synchronize()
    assert rows.tolist() == [[1.0] * 4] * 3
    assert (x._data.nbytes, rows._data.nbytes) == (96, 48)
