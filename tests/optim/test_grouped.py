"""Updates of a whole group as one step: the same numbers as one parameter after the other."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import facula as torch
from facula.optim import _grouped
from facula.optim.optimizer import PerParameterOptimizer
from facula.trace.recorder import TLS

MAKERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "SGD, plain": lambda p: torch.optim.SGD(p, lr=0.1, maximize=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
}


def parameters(dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(n, generator=generator).to(dtype) for n in (3, 1, 5)]
    return [t.requires_grad_() for t in made]


def train(maker, together, monkeypatch, dtype=torch.float32, change=lambda i, ps, opt: None):
    if not together:
        one_by_one = PerParameterOptimizer._update_group
        monkeypatch.setattr(_grouped.GroupedOptimizer, "_update_group", one_by_one)
    ps = parameters(dtype)
    opt = maker(ps)
    for i in range(8):
        opt.zero_grad()
        loss = sum([((p - k) ** 2).sum() for k, p in enumerate(ps)])
        loss.backward()
        change(i, ps, opt)
        opt.step()
    monkeypatch.undo()
    state = [{k: v for k, v in opt.state[p].items() if v is not None} for p in ps if p in opt.state]
    return [p.tolist() for p in ps], [{k: v.tolist() for k, v in s.items()} for s in state]


def check(maker, monkeypatch, **options):
    assert train(maker, True, monkeypatch, **options) == train(maker, False, monkeypatch, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MAKERS)
def test_equals_updates_one_by_one(name, dtype, monkeypatch):
    check(MAKERS[name], monkeypatch, dtype=dtype)


def schedule(i, ps, opt):
    opt.param_groups[0]["lr"] = 0.1 / (i + 1)


def freeze(i, ps, opt):
    """One parameter gets no gradient in some steps, so the counts of steps part."""
    if i in (2, 3):
        ps[1].grad = None


def clip(i, ps, opt):
    torch.nn.utils.clip_grad_norm_(ps, 0.5)


def scale(i, ps, opt):
    """Betas and decay change on the way."""
    if "betas" in opt.param_groups[0] and i > 3:
        opt.param_groups[0]["betas"] = (0.5, 0.8)
    opt.param_groups[0]["weight_decay"] = 0.1 if i % 2 else 0.0


def look(i, ps, opt):
    """Somebody reads, and somebody writes."""
    ps[0].grad.numpy()
    with torch.no_grad():
        ps[2].mul_(0.5)


@pytest.mark.parametrize("change", [schedule, freeze, clip, scale, look])
@pytest.mark.parametrize("name", MAKERS)
def test_changes_on_the_way(name, change, monkeypatch):
    check(MAKERS[name], monkeypatch, change=change)


def test_a_view_of_a_parameter_sees_the_update():
    ps = parameters()
    views = [p.detach().view(-1) for p in ps]
    opt = torch.optim.SGD(ps, lr=0.5)
    for _ in range(4):
        opt.zero_grad()
        sum([(p**2).sum() for p in ps]).backward()
        before = [v.clone() for v in views]
        opt.step()
        for v, b in zip(views, before):
            assert v.tolist() == (b * 0).tolist()


def test_complex_parameters_beside_real_ones():
    z = torch.tensor([1 + 2j], requires_grad=True)
    x = torch.tensor([3.0], requires_grad=True)
    opt = torch.optim.Adam([z, x], lr=0.1)
    for _ in range(3):
        opt.zero_grad()
        ((z * z.conj()).real.sum() + (x**2).sum()).backward()
        opt.step()
    assert z.item() == pytest.approx(0.7 + 1.7j, abs=1e-2)
    assert x.item() == pytest.approx(2.7, abs=1e-2)


def test_sparse_gradients_are_refused():
    table = torch.nn.Embedding(4, 2, sparse=True)
    opt = torch.optim.Adam(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        opt.step()


@pytest.mark.parametrize("name", MAKERS)
def test_the_first_step_is_the_same_program_as_the_others(name):
    ps = parameters()
    opt = MAKERS[name](ps)
    torch.synchronize()
    sizes = []
    for _ in range(3):
        opt.zero_grad()
        sum([(p**2).sum() for p in ps]).backward()
        opt.step()
        torch.synchronize()
        sizes.append(TLS.r.size)
    assert sizes[0] == sizes[1] == sizes[2]


def test_the_first_momentum_is_the_gradient_with_its_sign():
    p = torch.ones(3).requires_grad_()
    p.grad = torch.tensor([-0.0, 0.0, 2.0])
    opt = torch.optim.SGD([p], lr=0.5, momentum=0.9)
    opt.step()
    assert str(opt.state[p]["momentum_buffer"].tolist()) == "[-0.0, 0.0, 2.0]"
    assert p.tolist() == [1, 1, 0]


def test_the_first_momentum_with_dampening():
    p = torch.ones(2).requires_grad_()
    opt = torch.optim.SGD([p], lr=0.5, momentum=0.5, dampening=0.5)
    for _ in range(2):
        p.grad = torch.tensor([1.0, 2.0])
        opt.step()
    assert opt.state[p]["momentum_buffer"].tolist() == [1.0, 2.0]  # whole at first, then half


def steps(opt, ps, n):
    for _ in range(n):
        opt.zero_grad()
        sum([(p**2).sum() for p in ps]).backward()
        opt.step()


def test_counts_of_steps_that_lie_in_a_row_are_still_tensors_of_their_own():
    ps = parameters()
    opt = torch.optim.Adam(ps)
    steps(opt, ps, 6)
    counts = [opt.state[p]["step"] for p in ps]
    assert opt._last[id(opt.param_groups[0])].row.tolist() == [6.0] * 3
    assert [(t.dtype, t.shape, t.untyped_storage().nbytes()) for t in counts] == [
        (torch.float32, (), 4)
    ] * 3
    counts[1].fill_(40)
    steps(opt, ps, 2)
    assert [t.item() for t in counts] == [8.0, 42.0, 8.0]


def test_counts_that_were_loaded_or_replaced_are_counted_one_by_one():
    ps = parameters()
    opt = torch.optim.Adam(ps)
    steps(opt, ps, 4)
    saved = copy.deepcopy(opt.state_dict())
    opt.load_state_dict(saved)
    steps(opt, ps, 3)
    assert opt._last[id(opt.param_groups[0])].row is None
    opt.state[ps[0]]["step"] = torch.tensor(7.0)
    steps(opt, ps, 1)
    assert [opt.state[p]["step"].item() for p in ps] == [8.0] * 3


def test_numbers_in_a_row_only_where_they_are():
    a = np.arange(4, dtype=np.float32)
    one = [a[i : i + 1].reshape(()) for i in range(4)]
    assert _grouped._in_a_row(one[1:]).tolist() == [1.0, 2.0, 3.0]
    assert _grouped._in_a_row([]) is None
    assert _grouped._in_a_row([one[0], one[2]]) is None
    assert _grouped._in_a_row([one[0], a.astype(np.float64)[1:2].reshape(())]) is None
