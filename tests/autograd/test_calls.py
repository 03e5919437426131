"""`backward` and `grad`: what they take and refuse. Expected values are PyTorch's."""

from __future__ import annotations

import warnings

import pytest

import facula as torch
from facula import warned
from facula.autograd import calls
from facula.trace.recorder import TLS


def test_grad_variables_is_an_old_name_of_grad_tensors():
    x = torch.ones(2, requires_grad=True)
    with pytest.warns(FutureWarning, match="grad_variables"):
        torch.autograd.backward(x * 2, grad_variables=torch.tensor([1.0, 3.0]))
    assert x.grad.tolist() == [2.0, 6.0]
    g = torch.ones(2)
    with (
        pytest.warns(FutureWarning, match="grad_variables"),
        pytest.raises(RuntimeError, match="only use `grad_tensors`"),
    ):
        torch.autograd.backward(x * 2, g, grad_variables=g)


def test_inputs_limit_which_leaves_get_a_gradient():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    (a * b).sum().backward(inputs=[a])
    assert a.grad.tolist() == [1.0, 1.0] and b.grad is None
    h = a * 3
    (h * b).sum().backward(inputs=[h])
    assert h.grad.tolist() == [1.0, 1.0] and a.grad.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="cannot be empty"):
        (a * b).sum().backward(inputs=[])


def test_unused_inputs():
    a, b = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad((a * 2).sum(), [a, b])
    first, none = torch.autograd.grad((a * 2).sum(), [a, b], allow_unused=True)
    assert first.tolist() == [2.0, 2.0] and none is None
    _, zeros = torch.autograd.grad((a * 2).sum(), [a, b], materialize_grads=True)
    assert zeros.tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="allow_unused"):
        torch.autograd.grad(a.sum(), a, allow_unused=False, materialize_grads=True)


def test_a_batch_of_gradients_is_one_pass_for_each():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (g,) = torch.autograd.grad(x**2, x, torch.eye(2), is_grads_batched=True)
    assert g.tolist() == [[2.0, 0.0], [0.0, 4.0]]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "scalar outputs"),
        (torch.ones(3), "Mismatch in shape"),
        (torch.ones(2, dtype=torch.complex64), "complex"),
    ],
)
def test_gradients_that_do_not_fit(given, words):
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=words):
        (x * 2).backward(given)
    with pytest.raises(RuntimeError, match=words):
        torch.autograd.grad(x * 2, x, given)
    assert x.grad is None


def test_the_first_gradient_of_a_complex_number_has_to_be_given():
    z = torch.ones((), dtype=torch.complex64, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"real scalar outputs but got torch\.complex64"):
        (z * 2).backward()
    (z * 2).backward(torch.ones((), dtype=torch.complex64))
    assert z.grad == 2


@pytest.mark.parametrize(
    "given",
    [
        torch.nn.ParameterList,
        iter,
        lambda ws: (w for w in ws),
        lambda ws: dict.fromkeys(ws, 1).keys(),
        lambda ws: dict(enumerate(ws)).values(),
    ],
    ids=["ParameterList", "iterator", "generator", "keys", "values"],
)
def test_tensors_may_come_in_anything_that_gives_them(given):
    a, b = (torch.nn.Parameter(torch.tensor([x, 1.0])) for x in (2.0, 3.0))
    found = torch.autograd.grad((a * b).sum(), given([a, b]))
    assert [g.tolist() for g in found] == [[3, 1], [2, 1]]
    (a * b).sum().backward(inputs=given([a, b]))
    assert (a.grad.tolist(), b.grad.tolist()) == ([3, 1], [2, 1])
    ones = (torch.ones(2) for _ in range(2))
    found = torch.autograd.grad((x for x in (a * 2, a * b)), given([a]), ones)
    assert found[0].tolist() == [5, 3]
    torch.autograd.backward(x.sum() for x in (a, b))
    assert (a.grad.tolist(), b.grad.tolist()) == ([4, 2], [3, 2])


def test_inputs_by_name_give_gradients_by_name():
    a, b = (torch.tensor(x, requires_grad=True) for x in (2.0, 3.0))
    found = torch.autograd.grad(a * b, {"a": a, "b": b})
    assert {k: g.item() for k, g in found.items()} == {"a": 3, "b": 2}


@pytest.mark.parametrize("wrong", [3, None])
def test_inputs_that_are_no_tensors_are_refused(wrong):
    loss = torch.ones(1, requires_grad=True).sum()
    with pytest.raises(TypeError):
        torch.autograd.grad(loss, wrong)


def test_gradients_of_products_can_be_viewed_as_vectors():
    # The steps are PyTorch's: those of the matrix, also where a product took it transposed.
    layer = torch.nn.Linear(3, 2)
    for x in (torch.ones(4, 3), torch.ones(1, 3), torch.ones(3), torch.ones(2, 4, 3)):
        for create_graph in (False, True, False):
            weight = torch.autograd.grad(
                (layer(x) + layer(2 * x)).sum(), layer.parameters(), create_graph=create_graph
            )[0]
            assert weight.stride() == (3, 1)
            assert weight.view(-1).tolist() == [3.0 * (x.numel() // 3)] * 6
    lstm = torch.nn.LSTM(3, 4)
    found = torch.autograd.grad(lstm(torch.ones(5, 2, 3))[0].sum(), lstm.parameters())
    assert [g.stride() for g in found] == [(3, 1), (4, 1), (1,), (1,)]
    x = torch.ones(2, 3, requires_grad=True)
    (g,) = torch.autograd.grad((x.t() * torch.ones(3, 2)).sum(), x)
    assert g.stride() == (1, 2)
    w = torch.ones(5, 2, 3, requires_grad=True)
    (g,) = torch.autograd.grad(torch.bmm(torch.ones(5, 4, 3), w.transpose(1, 2)).sum(), w)
    assert g.stride() == (6, 1, 2)


def test_a_long_pass_through_an_older_frame_is_a_frame_of_its_own(monkeypatch):
    monkeypatch.setattr(calls, "LONG", 10)
    w = torch.ones(3, requires_grad=True)
    y = w
    for _ in range(20):
        y = (y * w).cos()
    loss = y.sum()
    loss.item()
    loss.backward()
    assert TLS.r.cur.index < 10
    whole = w.grad.clone()
    w.grad = None
    y = w
    for _ in range(20):
        y = (y * w).cos()
    y.sum().backward()
    assert torch.allclose(whole, w.grad)


def test_a_graph_of_gradients_is_warned_of_once(monkeypatch):
    a = torch.ones(2, requires_grad=True)
    monkeypatch.setattr(warned, "_told", set())
    with pytest.warns(UserWarning, match="will create a reference cycle"):
        (a * a).sum().backward(create_graph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (a * a).sum().backward(create_graph=True)
        torch.autograd.grad((a * a).sum(), a, create_graph=True)
        torch.set_warn_always(True)
        try:
            with pytest.raises(UserWarning, match="will create a reference cycle"):
                (a * a).sum().backward(create_graph=True)
        finally:
            torch.set_warn_always(False)
    assert not torch.is_warn_always_enabled()


def test_batches_of_gradients_have_the_shapes_of_the_outputs():
    a = torch.ones(2, 2, requires_grad=True)
    for out, g in ((a.clone(), torch.ones(2, 2)), (a.sum(), torch.ones(2, 1))):
        with pytest.raises(RuntimeError, match="we interpret the first dimension of each grad"):
            torch.autograd.grad(out, a, g, is_grads_batched=True)
