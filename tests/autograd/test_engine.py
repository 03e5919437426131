"""Back-propagation: gradients, errors, orders, depth."""

from __future__ import annotations

import gc
import pathlib
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest
from nn.stored import agrees, raised

import facula as torch
from facula.trace.recorder import TLS


def test_accumulation_and_retain_graph():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    assert x.grad.tolist() == [4, 8]


def test_gradients_share_no_memory():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    (a + b).sum().backward()
    a.grad.zero_()
    assert a.grad.tolist() == [0, 0]
    assert b.grad.tolist() == [1, 1]


def test_third_derivative():
    x = torch.tensor(2.0, requires_grad=True, dtype=torch.float64)
    g = x.pow(4)
    for _ in range(3):
        (g,) = torch.autograd.grad(g, x, create_graph=True)
    assert g.item() == pytest.approx(48)


def test_the_graph_outlives_a_flush():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x.exp() * x).sum()
    y.item()
    y.backward()
    e = torch.tensor([1.0, 2.0]).exp()
    assert torch.allclose(x.grad, e * (1 + torch.tensor([1.0, 2.0])))


@pytest.mark.parametrize("flush", [False, True])
def test_a_modified_saved_tensor_is_an_error(flush):
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    x = torch.tensor([3.0, 4.0])
    y = (w * x).sum()
    if flush:
        y.item()
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    assert w.grad is None


BAD = [
    (lambda: torch.zeros(2, 3).mm(torch.zeros(2, 3)), RuntimeError, "2x3 and 2x3"),
    (lambda: torch.zeros(2).mm(torch.zeros(2, 3)), RuntimeError, "2-D tensor"),
    (lambda: torch.zeros(2, 2).mm(torch.zeros(2, 2).double()), RuntimeError, "same dtype"),
    (lambda: torch.zeros(3)[5], IndexError, "index 5 is out of bounds"),
    (lambda: torch.zeros(3)[torch.tensor([0, 3])], IndexError, "index 3 is out of bounds"),
    (lambda: torch.ones(2, requires_grad=True).add_(1), RuntimeError, "leaf Variable"),
    (lambda: torch.zeros(2, 3).t().view(-1), RuntimeError, "view size is not compatible"),
    (lambda: torch.ones(2, requires_grad=True).exp().backward(), RuntimeError, "scalar outputs"),
    (lambda: torch.zeros(2).add_(torch.zeros(3, 2)), RuntimeError, "broadcast shape"),
    (lambda: torch.arange(3).add_(1.5), RuntimeError, "can't be cast"),
]


@pytest.mark.parametrize(("call", "kind", "text"), BAD)
def test_bad_input(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_hooks_and_retain_grad():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
    y.sum().backward()
    assert seen == [[1, 1]]
    assert x.grad.tolist() == [20, 20]


def test_custom_function():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    Cube.apply(x * 1).sum().backward()
    assert x.grad.tolist() == [3, 12]


@agrees
def test_retained_gradients_follow_writes_in_place(torch):
    out = []
    for case in range(5):
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = x * 2
        v = y[:2]
        (v if case in (2, 3) else y).retain_grad()
        z = (y if case in (0, 4) else v) * 3
        if case == 4:
            with torch.no_grad():
                y.mul_(2)
        else:
            (y if case in (0, 2) else v).mul_(2)
        (y.sum() + z.sum() + v.sum()).backward()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out += [y.grad, v.grad, x.grad]
    return out


@agrees
def test_writes_go_past_the_hooks_of_what_was_written_through(torch):
    """Also where the view that is written to was made before there were hooks."""
    out = []
    for read in ("base", "part", "view", "hooked"):
        for early in (False, True):
            x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
            base = x.clone()
            hooked, seen = base.mT, []
            views = {"base": base, "part": hooked[0], "view": hooked.unflatten(0, [-1, 2])}
            if early:
                hooked.retain_grad()
            else:
                hooked.register_hook(lambda g, seen=seen: seen.append(g.clone()))
            views["view"].mul_(3)
            ({**views, "hooked": hooked}[read] * 2).sum().backward()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                out += [list(seen), hooked.grad, x.grad]
    return out


@agrees
def test_reading_the_gradient_of_a_result_warns(torch):
    w = torch.ones(2, requires_grad=True)
    y, kept = w * 2, w * 3
    kept.retain_grad()
    out = []
    for t in (w, y, kept, y.detach(), w[0]):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            out.append([t.grad, [str(c.message)[:60] for c in caught]])
    (y + kept).sum().backward()
    return [*out, kept.grad]


@agrees
def test_gradients_of_results_by_backward(torch):
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    (y * y).sum().backward(inputs=[y])
    out = [y.grad, y.retains_grad, x.grad, raised(y.sum().backward)]
    y, z = x * 1, x * 1
    y.retain_grad()
    (g,) = torch.autograd.grad(y, [z], [torch.ones(3)], allow_unused=True)
    out += [g, y.grad, raised(lambda: (x * 1).sum().backward(inputs=[torch.ones(1)]))]
    (m,) = torch.autograd.grad(
        (x * x).sum(), [z], create_graph=True, allow_unused=True, materialize_grads=True
    )
    return [*out, m, m.requires_grad]


@agrees
def test_every_saved_value_is_checked(torch):
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    b, c = a * 1, a * 1
    y = (b * c).sum()
    b.mul_(2)  # only c's gradient needs it
    return [raised(torch.autograd.grad, y, [b]), raised(torch.autograd.grad, y, [c])]


@agrees
def test_what_can_be_differentiated_once(torch):
    out = []
    w = torch.tensor([1.0, 2.0, 3.0])
    for f in (
        lambda x: x * 2,
        lambda x: x / 2,
        lambda x: 2 / x,
        lambda x: x + 2,
        lambda x: x.mean(),
        lambda x: x.lerp(w, 0.5),
        lambda x: x.add(w, alpha=2),
        lambda x: x.exp(),
        lambda x: x.repeat_interleave(2),
        lambda x: x.clone().copy_(x),
        lambda x: x % 2,
        lambda x: 2 % x,
        lambda x: x // 2,
    ):
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = f(x)
        out += [raised(y.sum().backward), raised(y.sum().backward), x.grad]
    return out


@agrees
def test_what_may_be_written_before_the_pass(torch):
    """Which operands and results an operation saves, by writing to each of them."""
    out = {}
    for name, f in {
        "reciprocal": lambda x, w: 2 / x,
        "maximum": torch.maximum,
        "minimum": torch.minimum,
        "clamp": lambda x, w: x.clamp(min=w),
        "logaddexp": torch.logaddexp,
        "pow": torch.pow,
        "exponential": lambda x, w: 2**x,
        "gather": lambda x, w: x.gather(0, torch.tensor([0])),
        "take": lambda x, w: x.take(torch.tensor([0])),
        "index_add": lambda x, w: x.index_add(0, torch.tensor([0]), w[:1]),
        "put": lambda x, w: x.put(torch.tensor([0]), w[:1]),
        "exp": lambda x, w: x.exp(),
        "mul": lambda x, w: x * w,
        "cumprod": lambda x, w: x.cumprod(0),
    }.items():
        for which in range(3):
            a = torch.tensor([0.5, 2.0, 3.0], requires_grad=True)
            x, w = a * 1, a * 1.5
            y = f(x, w)
            with torch.no_grad():
                (x, w, y)[which].mul_(1)
            out[f"{name} {which}"] = [raised(y.sum().backward), a.grad]
    return out


@agrees
def test_ties(torch):
    a = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    b = torch.tensor([1.0, 5.0, 0.0], requires_grad=True)
    out = []
    for f in (torch.maximum, torch.minimum, lambda a, b: a.clamp(b), lambda a, b: a.clamp(max=b)):
        out.append(torch.autograd.grad(f(a, b).sum(), [a, b]))
    return out


@agrees
def test_a_leaf_that_is_none_any_more(torch):
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    x.requires_grad_(False)
    x[:] = y
    return [raised((y * 1).sum().backward), x.requires_grad]


def test_a_long_graph_is_walked_and_freed_without_recursion():
    limit = sys.getrecursionlimit()
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for i in range(100_000):
        y = y + 1 if i % 2 else y * 1
    assert y.grad_fn is not None
    y.backward()
    assert x.grad.item() == 1 and sys.getrecursionlimit() == limit
    node = weakref.ref(y.grad_fn)
    del y
    gc.collect()
    assert node() is None  # the whole chain behind it went, one node after the other


def test_anomaly_mode_names_the_line_of_the_forward_operation():
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        anomalies = torch.autograd.detect_anomaly()
    with anomalies:
        y = x.sqrt()  # this line
        z = (y * torch.tensor([0.0, 1.0])).sum()
        with pytest.raises(RuntimeError, match=r"SqrtBackward0.*nan values") as caught:
            z.backward()
    text = pathlib.Path(__file__).read_text().splitlines()
    line = 1 + next(i for i, s in enumerate(text) if s.endswith("x.sqrt()  # this line"))
    assert f"{__file__}:{line}" in str(caught.value)


def test_anomaly_mode_names_the_line_after_a_flush_and_in_a_loop():
    for _ in range(4):
        x = torch.tensor([0.0], requires_grad=True)
        with torch.autograd.set_detect_anomaly(True):
            y = x.pow(0.5)
            assert y.item() == 0
            with pytest.raises(RuntimeError, match=r"test_engine.py:\d+"):
                (y * 0).backward()


def train(seed, steps, results):
    generator = np.random.default_rng(seed)
    x = torch.tensor(generator.normal(size=(32, 8)))
    y = torch.tensor(generator.normal(size=(32, 1)))
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    model = model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.tensor(generator.normal(size=tuple(p.shape)) * 0.3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    results[seed] = losses, [p.tolist() for p in model.parameters()]


def test_threads_train_as_if_they_were_alone(tier):
    alone, together = {}, {}
    for seed in (1, 2):
        train(seed, 30, alone)
    threads = [threading.Thread(target=train, args=(s, 30, together)) for s in (1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert together == alone
    assert alone[1] != alone[2] and alone[1][0][-1] < alone[1][0][0]


@pytest.mark.parametrize("write", ["data", "no_grad"])
def test_gradients_given_as_a_leaf_that_was_just_written(write):
    def second(written):
        c = torch.tensor([1 + 2j, -0.5 + 1j], requires_grad=True)
        g = torch.tensor([0.5 - 1j, 2 + 1j], requires_grad=True)
        if written and write == "data":
            g.data.copy_(g.detach().clone())
        elif written:
            with torch.no_grad():
                g.copy_(g.detach().clone())
        (first,) = torch.autograd.grad(c.sgn(), c, g, create_graph=True)
        return torch.autograd.grad(first.abs().sum(), (c, g))

    for a, b in zip(second(True), second(False), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("view", [False, True])
def test_a_pass_reads_saved_values_before_numpy_writes_to_them(view):
    """What a pass that has not run yet reads must not change under it."""
    for _ in range(2):
        w = torch.tensor([0.0, 1.0]).requires_grad_()
        y = w.exp()
        seen = y[:] if view else y
        array = seen.detach().numpy()
        (y * y).sum().backward()
        array *= 3
        np.testing.assert_allclose(w.grad.numpy(), 2 * np.exp([0.0, 2.0]), rtol=1e-6)
        assert y.tolist() == array.tolist()


def test_next_functions_are_those_of_pytorchs_nodes():
    x = torch.ones(3, requires_grad=True)
    h = x.exp()
    on = torch.ones(3) > 0

    def names(y):
        return [None if node is None else node.name() for node, _ in y.grad_fn.next_functions]

    exp = "ExpBackward0"
    for y in (h * 2, 1 + h, h - 1, h / 2):
        assert names(y) == [exp, None]
    assert names(1 - h) == names(h**2) == [exp]
    assert names(torch.where(on, h, 0.0 * x)) == [exp, "MulBackward0"]
    assert names(torch.nn.functional.mse_loss(h, x.detach())) == [exp, None]
    assert repr(h.grad_fn.next_functions[0][0]).startswith("<AccumulateGrad object at 0x")


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
def test_the_gradient_of_a_leaf_has_the_shape_that_its_graph_knows():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    with torch.no_grad():
        torch.add(torch.zeros(5), 1, out=x)
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [3, 3]
    with pytest.raises(RuntimeError, match=r"shape \[5\].*had the shape \[2\]"):
        x.sum().backward()
    row = torch.ones(1, 2, requires_grad=True)
    y = row.exp()
    y.sum().backward(retain_graph=True)
    with torch.no_grad():
        torch.add(torch.zeros(3, 2), 1, out=row)
    row.grad = None
    row.sum().backward()
    assert row.grad.tolist() == [[3, 3]]


@pytest.mark.parametrize(
    ("hook", "kind", "words"),
    [
        (lambda g: g[0], RuntimeError, "changed the size"),
        (lambda g: 3, TypeError, "returned 'int'"),
    ],
)
def test_a_hook_gives_back_a_gradient_of_the_same_shape(hook, kind, words):
    w = torch.ones(2, 3, requires_grad=True)
    w.register_hook(hook)
    with pytest.raises(kind, match=words):
        (w * 2).sum().backward()
    assert w.grad is None


@pytest.mark.parametrize("piece", [0, 1 << 30])
def test_a_pass_through_frames_that_ended_is_cut_where_they_were(monkeypatch, piece):
    """Their number differs from pass to pass: cut, it consists of programs that are known."""
    monkeypatch.setattr("facula.autograd.engine.PIECE", piece)
    w = torch.tensor([0.5, 0.25], requires_grad=True)
    r = TLS.r
    sizes = []
    for length in (2, 3, 4, 5, 6, 7):
        x = torch.ones(2)
        for _ in range(length):
            x = x * w
            assert x.grad_fn is not None  # it is built, not kept in short
            torch.synchronize()
        before = r.size
        x.sum().backward()
        torch.synchronize()
        sizes.append(r.size - before)
        want = [length * v ** (length - 1) for v in w.tolist()]
        assert w.grad.tolist() == pytest.approx(want)
        w.grad = None
    assert (sizes[-1] == 0) is (piece == 0)


def test_target_without_a_derivative_gets_its_gradient():
    """It comes first, as what can't be gone through does, and is not gone through."""
    x = torch.tensor([1.0, 4.0], requires_grad=True)
    y = x // 3
    (g,) = torch.autograd.grad(y.sum() + (y * y).sum(), [y])
    assert g.tolist() == [1.0, 3.0]
