"""Memory that NumPy shares, and values that are not to be had."""

from __future__ import annotations

import numpy as np
import pytest
from nn.stored import agrees, raised

import facula as torch
from facula.trace.recorder import TLS
from facula.values import in_use


def test_numpy_shares_memory_both_ways():
    a = np.arange(4.0)
    t = torch.from_numpy(a)
    b = t[1:3]
    a[1] = 10
    assert b.tolist() == [10, 2]
    t.add_(1)
    assert a.tolist() == [1, 11, 3, 4]
    v = t.numpy()
    v[0] = 7
    assert t[0].item() == 7


@agrees
def test_numpy_code_may_write_at_any_time(torch):
    out = []
    v = torch.tensor([1.0, 2.0, 3.0])
    n = v[:2].numpy()[1:]  # an array whose own base is gone
    y = v * 2
    n[...] = 7
    out += [v.clone(), y, v * 2]
    v.mul_(3)
    out.append(n.tolist())
    b = np.arange(4.0)
    t = torch.from_numpy(b[1:])
    y = t * 2
    b[:] = 9
    out += [y, t * 2, t.clone()]
    t.numpy()  # an array that is gone at once takes nothing from the first
    b[:] = 5
    t.add_(1)
    return [*out, b.tolist()]


@agrees
def test_a_view_made_before_numpy_wrote_sees_what_it_wrote(torch):
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    x = w.clone()
    n = x.detach().numpy()
    y = x[...]
    n[...] = 3
    y.mul_(2)
    x.sum().backward()
    return [x, y, n.tolist(), w.grad]


@agrees
def test_numpy_of_what_requires_grad(torch):
    w = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        n = w.numpy()
        n[0] = 5
        spread = w[:1].expand(3).numpy()
    return [raised(w.numpy), w, w.numpy(force=True).tolist(), spread.flags.writeable]


def test_a_value_of_a_frame_that_has_ended_is_an_error():
    """A tensor that no recorder knows can't be made with the public names; it must not hang."""
    x = torch.ones(2) * 2
    y = object.__new__(torch.Tensor)
    y.node = x.node
    x.tolist()
    for read in (y.tolist, y.__repr__):
        with pytest.raises(AssertionError, match=r"float32 tensor of shape \[2\].*has ended"):
            read()
    assert TLS.r.handles == [] and x.tolist() == [2, 2]


def test_memory_is_in_use_by_a_frame_that_reads_it_through_views_too():
    a, b, c = torch.ones(4), torch.ones(4), torch.ones(4)
    assert a.tolist() == b.tolist() == c.tolist()
    y = a + b[1:].sum()
    assert in_use(a) and in_use(b._storage) and not in_use(c)
    z = c * 2
    assert in_use(c)
    assert y.tolist() == [4] * 4
    assert z.tolist() == [2] * 4
    assert not in_use(a) and not in_use(c)


@agrees
def test_arrays_that_show_a_part_of_what_others_show(torch):
    """Of the same shape and strides, but another dtype or place: `numpy()` gives the tensor's."""
    out = []
    z = np.array([[1 + 2j, 3 + 4j], [5 + 6j, 7 + 8j]])
    f = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    r = np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "<f8"), ("b", "<f8")])
    overlapping = np.lib.stride_tricks.as_strided(f[1:], (3,), (4,))
    for a in (z.real, z.imag, z.T.imag, f.view(np.int32), r["a"], r["b"], overlapping, f[1:]):
        t = torch.from_numpy(a)
        t[0] += 1
        out += [t, t.numpy().tolist(), str(t.numpy().dtype), (t + 1).numpy().tolist()]
    return [*out, str(z.tolist()), f.tolist()]
