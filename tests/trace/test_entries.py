"""Entries of the trie: made once, and found again."""

from __future__ import annotations

import pytest

import facula as torch
from facula.trace.entries import apart
from facula.trace.node import END, Node, leaf
from facula.trace.recorder import TLS


def step(x, number):
    y = x * number
    return (y + x).sum().item()


def test_the_same_operations_make_entries_once():
    torch.synchronize()  # ends the frame that another test began
    x = torch.tensor([0.0, 1.0, 2.0])
    step(x, 2.0)
    size = TLS.r.size
    assert step(x, 3.0) == 12
    assert step(torch.tensor([1.0, 1.0, 1.0]), 4.0) == 15
    assert TLS.r.size == size


def test_an_entry_has_all_that_a_node_has():
    torch.synchronize()
    made = (torch.ones(5, 2) * 2.0).exp().node
    plain = Node(made.op, (5, 2), torch.float32)
    own = {"a", "index", "inputs", "names", "parent", "rec", "scalar_at", "where"}
    for name in set(Node.__slots__) - own:
        assert getattr(made, name) == getattr(plain, name), name
    assert made.a is made.inputs[0] is made.parent and made.names == made.inputs
    assert made.succ is made.after is END and made.rec is TLS.r and made.line[0] == __file__


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.complex64])
def test_what_is_like_its_operands_is_what_the_rule_of_the_operation_says(dtype):
    x = torch.ones(3, 4, dtype=dtype)
    several = [x, x.clone(), x.t(), torch.ones(4, dtype=dtype), torch.ones((), dtype=dtype)]
    for a in several:
        for made in (-a, a * 2, a * True, a.to(torch.float64), a != a):
            n = made.node
            inferred = n.op.infer(n.params, n.stypes, *n.inputs)
            assert (n.shape, n.dtype, n.strides, n.offset) == inferred, n
    for a in several:
        for b in several:
            n = torch.mul(a, b if a.ndim == b.ndim == 1 or a.shape[-1:] == b.shape[-1:] else a).node
            inferred = n.op.infer(n.params, n.stypes, *n.inputs)
            assert (n.shape, n.dtype, n.strides, n.offset) == inferred, n


def test_another_shape_dtype_or_kind_of_number_is_another_entry():
    x = torch.tensor([0.0, 1.0, 2.0])
    step(x, 2.0)
    for other, number in ((torch.tensor([1.0] * 4), 2.0), (x.double(), 2.0), (x, 2)):
        size = TLS.r.size
        step(other, number)
        assert TLS.r.size > size


def test_a_position_that_many_operations_follow_finds_each():
    x = torch.tensor([1.0, 2.0, 3.0])
    calls = [torch.exp, torch.log, torch.sin, torch.cos, torch.sqrt]
    first = [f(x).tolist() for f in calls]
    size = TLS.r.size
    assert [f(x).tolist() for f in reversed(calls)] == first[::-1]
    assert TLS.r.size == size


def test_an_entry_that_cannot_be_made_leaves_no_trace():
    x, y = torch.ones(2), torch.ones(3)
    at = TLS.r.cur, len(TLS.r.inputs)
    with pytest.raises(RuntimeError, match="size"):
        x + y
    assert (TLS.r.cur, len(TLS.r.inputs)) == at


def test_a_program_that_is_new_is_recorded_as_one_that_is_known():
    w = torch.tensor([0.5, 2.0], requires_grad=True)
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

    def program():
        torch.synchronize()
        w.grad = None
        a = x * w + 1  # a leaf, a broadcast one, a whole number
        b = (a - x).t() / a  # layouts that differ
        with torch.no_grad():
            c = w * 2 + w
            w.mul_(1)
            c = c * w  # a parameter with a pending update
        d = (b * c.detach()) ** True + torch.full((2, 2), 3.0)
        d.sum().backward()
        return d.tolist(), d.dtype, c.tolist(), w.grad.tolist(), (x == x + 0).tolist()

    TLS.r.forget()
    want = program()
    nodes = TLS.r.size
    assert program() == want
    assert TLS.r.size == nodes
    TLS.r.forget()
    assert program() == want


def test_operands_on_two_devices_are_named():
    on_cpu = leaf((2,), torch.float32, None)
    on_gpu = leaf((3, 1), torch.float32, None, device=torch.device("cuda:0"))
    text = str(apart(on_cpu, on_gpu))
    assert "at least two devices, cuda:0 and cpu" in text
    assert "[2]" in text and "[3, 1]" in text
