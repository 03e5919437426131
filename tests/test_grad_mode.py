"""Tensors that were made in inference mode, and those that only were used there."""

import copy

import pytest

import facula as torch
from facula.utils.flop_counter import FlopCounterMode


def made_inside():
    with torch.inference_mode():
        return torch.ones(2, 3) * 2.0


@pytest.mark.parametrize(
    "write",
    [
        lambda t: t.add_(1),
        lambda t: t.zero_(),
        lambda t: t.fill_(3.0),
        lambda t: t.copy_(torch.zeros(2, 3)),
        lambda t: t.uniform_(),
        lambda t: t.view(6).mul_(2),
        lambda t: torch.nn.init.ones_(t),
        lambda t: t.requires_grad_(),
    ],
)
@pytest.mark.parametrize("settled", [False, True])
def test_what_was_made_inside_may_not_be_changed_outside(write, settled):
    t = made_inside()
    if settled:
        torch.synchronize()
    assert t.is_inference()
    with pytest.raises(RuntimeError, match=r"inference tensor outside InferenceMode.*\[(2, 3|6)\]"):
        write(t)
    assert t.tolist() == [[2.0] * 3] * 2
    assert not t.requires_grad
    with torch.inference_mode():
        write(t)


def test_a_frame_that_ends_inside_is_seen():
    with torch.inference_mode():
        first = torch.ones(3) * 2.0
        assert first.sum().item() == 6.0
        second = first + 1.0
    assert first.is_inference() and second.is_inference()


def test_copies_of_what_was_made_inside_are_free():
    t = made_inside()
    for c in (t.clone(), copy.deepcopy(t), t + 1):
        assert not c.is_inference()
        c.add_(1)


def test_what_was_made_outside_may_be_changed_everywhere():
    norm = torch.nn.BatchNorm1d(3)
    net = torch.nn.Linear(3, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, cache = torch.ones(2, 3), torch.zeros(4, 3)
    for _ in range(4):
        optimizer.zero_grad()
        norm(net(x)).pow(2).sum().backward()
        optimizer.step()
        with torch.inference_mode():
            norm(net(x))
            cache[1] = x[0]
            cache.add_(1)
            x.view(6).mul_(1.5)
    for t in (x, cache, *net.parameters(), *norm.buffers(), *[p.grad for p in net.parameters()]):
        assert not t.is_inference()
        with torch.no_grad():
            t.zero_()


def test_operations_are_counted_in_inference_mode_too():
    a = torch.ones(4, 4)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        b = a @ a
        b.tolist()
        c = b @ a
    assert counter.get_total_flops() == 2 * 2 * 4**3
    assert b.is_inference() and c.is_inference()


def test_the_setting_of_threads_is_kept():
    a = torch.autograd
    with a.set_multithreading_enabled(False):
        assert not a.is_multithreading_enabled()
        a.set_multithreading_enabled(True)
        assert a.is_multithreading_enabled()
    assert a.is_multithreading_enabled()

    @a.grad_mode.set_multithreading_enabled(False)
    def inside():
        return a.is_multithreading_enabled()

    a.set_multithreading_enabled(True)
    assert inside() is False and a.is_multithreading_enabled()


def test_what_is_made_inside_says_so_at_once():
    given = torch.ones(3)
    with torch.inference_mode():
        a = torch.zeros(3)
        b = given * 2.0
        assert torch.is_inference(a) and b.is_inference()
        assert torch.tensor([1.0, 2.0]).is_inference()
        b.add_(1)
        view, apart = b.view(3, 1), b.detach()
        assert b.is_inference() and view.is_inference() and apart.is_inference()
        given.mul_(2)
        assert not given.is_inference() and not given.view(-1).is_inference()
    assert b.is_inference() and view.is_inference() and apart.is_inference()
    with pytest.raises(RuntimeError, match="inference tensor outside InferenceMode"):
        apart.add_(1)
    assert not b[1:]._is_view()
    assert not (b + 1).is_inference()
