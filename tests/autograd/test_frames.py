"""Backward passes through frames that have ended: the same gradients as when nodes are built."""

import math

import pytest

import facula as torch
from facula.autograd import frames, graph, later
from facula.interpreter import program

ROUNDS = 5


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """Numbers are compared bit by bit: compiled programs may round differently."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)


@pytest.fixture
def passes(monkeypatch):
    """Whether each frame's pass needed no nodes."""
    seen = []

    def count(*args):
        out = follow(*args)
        seen.append(out is not None)
        return out

    follow = frames.follow
    monkeypatch.setattr(frames, "follow", count)
    return seen


@pytest.fixture
def calls(monkeypatch):
    """The nodes that were made."""
    seen = []

    def count(n, *rest):
        seen.append(n)
        return made(n, *rest)

    made = graph.made
    monkeypatch.setattr(graph, "made", count)
    return seen


def weights():
    torch.synchronize()  # what other tests have left
    torch.manual_seed(0)
    return torch.randn(6, 3), torch.randn(3, 3).requires_grad_(), torch.randn(3).requires_grad_()


def read_first(i, x, w, b):
    loss = ((x @ w + b).tanh() ** 2).mean()
    loss.item()
    loss.backward()


def many_frames(i, x, w, b):
    h = x
    for _ in range(3 + i % 2):
        h = (h @ w + b).tanh()
        if not h.isfinite().all():
            raise AssertionError
    h.sum().backward()


def independent_frames(i, x, w, b):
    found = []
    for row in x:
        best = (row @ w + b).log_softmax(0).amax()
        if best < 0:
            found.append(best)
    torch.stack(found).sum().backward()


def result_kept(i, x, w, b):
    out = (x @ w + b).sigmoid()
    loss = (out - 1).abs().sum()
    float(loss)
    loss.backward()
    return out.tolist()


def two_heads(i, x, w, b):
    y, z = (x @ w).exp().sum(), (b * b).sum()
    torch.synchronize()
    y.backward()
    z.backward()


def two_heads_at_once(i, x, w, b):
    h = (x @ w).tanh()
    y, z = h.exp().sum(), (h * b).sum()
    torch.synchronize()
    (y + 2 * z).backward()


def retained(i, x, w, b):
    y = (x @ w + b).exp().sum()
    y.item()
    y.backward(retain_graph=True)
    y.backward()


def given(i, x, w, b):
    y = (x @ w + b).exp()
    torch.synchronize()
    y.backward(x)


def changing_numbers(i, x, w, b):
    y = (x @ w * (0.5 + i)).clamp(min=0.1 * i).sum() / (i + 1.5)
    y.item()
    y.backward()


def changing_factors(i, x, w, b):
    y = (x @ w * (0.5 + i)).tanh().sum() / (i + 1.5)
    y.item()
    y.backward()


def changing_powers(i, x, w, b):
    y = (x @ w).abs().pow([0.0, 2.0, 1.0, 3.5, 0.0][i]).sum()
    y.item()
    y.backward()


def signs_of_zero(i, x, w, b):
    y = ((w + 1) * [0.0, -0.0][i % 2]).abs().pow(3.0).sum() + (b.exp() * [0.0, -0.0][i % 2]).sum()
    y.item()
    y.backward()


def one_tensor_twice(i, x, w, b):
    y = w + b
    torch.synchronize()
    z = y * y
    torch.synchronize()
    (z + y).sum().backward()


def passed_through(i, x, w, b):
    y = w + b
    torch.synchronize()
    (y + w).sum().backward()


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, by):
        ctx.save_for_backward(x)
        ctx.by = by
        return x * by, x.sum()

    @staticmethod
    def backward(ctx, g, h):
        (x,) = ctx.saved_tensors
        return (g + x - x) * ctx.by + h, None


class Put(torch.autograd.Function):
    """Writes into memory that it is given, as solvers of differential equations do."""

    @staticmethod
    def forward(ctx, memory, value, at):
        ctx.at = at
        memory.data[..., at] = value
        return memory

    @staticmethod
    def backward(ctx, g):
        return g, g[..., ctx.at], None


def functions(i, x, w, b):
    h = x
    for k in range(3):
        h, s = Scaled.apply((h @ w + b).tanh(), 0.5 + k)
        h = h * s
    h.sum().backward()


def put_in_parts(i, x, w, b):
    kept = torch.zeros(6, 3, 4)
    h = x
    for k in range(4):
        h = (h @ w).tanh()
        kept = Put.apply(kept, h, k)
        h = b + kept[..., : k + 1].sum(-1)
    (kept * h[..., None]).sum().backward()


def written_in_parts(i, x, w, b):
    out = torch.empty(3, 6, 3)
    for k in range(3):
        out[k] = (x @ w * (k + 1)).tanh()
        (x @ b).sum().item()
    (out * out[1]).sum().backward()


USES = [
    *(read_first, many_frames, independent_frames, result_kept, two_heads, two_heads_at_once),
    *(retained, given, changing_numbers, changing_powers, signs_of_zero, one_tensor_twice),
    *(passed_through, changing_factors, functions, put_in_parts, written_in_parts),
]


def outcome(use, clear=True):
    """What `use` gives in each round, and the gradients to the last bit."""
    x, w, b = weights()
    found = []
    for i in range(ROUNDS):
        found.append(use(i, x, w, b))
        found.append([None if p.grad is None else p.grad.numpy().tobytes() for p in (w, b)])
        if clear:
            w.grad = b.grad = None
    return found


@pytest.mark.parametrize("clear", [True, False])
@pytest.mark.parametrize("use", USES)
def test_the_same_as_with_nodes(monkeypatch, passes, use, clear):
    got = outcome(use, clear)
    assert passes and all(passes)
    monkeypatch.setattr(frames, "follow", lambda *args: None)
    assert got == outcome(use, clear)


@pytest.mark.parametrize(
    "use",
    [
        *(read_first, many_frames, independent_frames, changing_factors, functions, put_in_parts),
        written_in_parts,
    ],
)
def test_a_known_pass_makes_no_nodes(passes, calls, use):
    x, w, b = weights()
    for i in range(12):
        use(i, x, w, b)
        w.grad = b.grad = None
        if i == 7:
            calls.clear()
    assert all(passes) and calls == []


def test_what_was_saved_is_let_go():
    x, w, b = weights()
    for _ in range(ROUNDS):
        out = (x @ w + b).tanh()
        loss = out.sum()
        loss.item()
        ended = loss._gfn.ended
        assert len(ended.kept) == 1
        loss.backward()
        assert ended.kept == [] == ended.data
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
        with pytest.raises(RuntimeError, match="second time"):
            out.sum().backward()
        assert out.grad_fn.name() == "TanhBackward0"
        torch.synchronize()  # the frame of the failed pass


def test_hooks_and_retained_gradients():
    """What somebody watches is built; hooks of leaves are called once, with all that arrived."""
    x, w, _ = weights()
    seen = []
    w.register_hook(lambda g: seen.append(g.tolist()))
    w.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.tolist()))
    for _ in range(ROUNDS):
        h = (x @ w).tanh()
        torch.synchronize()
        h.retain_grad()
        y = (h @ w).sum()
        y.item()
        y.backward()
        assert h.grad.shape == h.shape
        assert len(seen) == 2 and seen[0] == seen[1] == w.grad.tolist()
        w.grad = None
        seen.clear()


def test_values_that_were_modified_are_found():
    x, w, _ = weights()
    for _ in range(ROUNDS):
        y = (x @ w).exp()
        torch.synchronize()
        z = y.sum()
        z.item()
        y.detach().zero_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.backward()


def test_memory_that_numpy_holds(passes):
    x, w, _ = weights()
    a = x.numpy()
    for _ in range(ROUNDS):
        y = (x @ w).sum()
        y.item()
        y.backward()
        assert w.grad.tolist() == x.sum(0)[:, None].expand(3, 3).tolist()
        w.grad = None
        a += 1
    assert all(passes)


def test_what_only_others_need_is_not_kept():
    """Results that would keep much for each other are kept apart."""
    w = torch.ones(later.MAX_BYTES // 4 + 1, requires_grad=True)
    for _ in range(ROUNDS):
        y = w.exp()
        torch.synchronize()
        assert type(y._gfn) is later.Later
    for _ in range(ROUNDS):
        y = w.exp()
        z = (y + 1).sin()
        torch.synchronize()
        assert z._gfn.ended is not y._gfn.ended
        assert [len(x._gfn.ended.kept) for x in (y, z)] == [1, 1]
        z.sum().backward()
        assert w.grad[0].item() == pytest.approx(math.e * math.cos(math.e + 1), rel=1e-5)
        w.grad = None


@pytest.mark.parametrize("in_place", [False, True])
def test_what_grows_from_frame_to_frame_is_followed(passes, in_place):
    """A sum of losses keeps all their histories, a loss that of none before it."""
    x, w, _ = weights()
    for _ in range(ROUNDS):
        total, outs = 0, []
        for _ in range(5):
            y = (x @ w).tanh()
            loss = y.exp().sum()
            if in_place and outs:
                total += loss
            else:
                total = total + loss
            outs.append(y)
            torch.synchronize()
        total.backward()
        y = (x @ w).tanh()
        assert torch.allclose(w.grad, 5 * x.T @ (y.exp() * (1 - y * y)))
        w.grad = None
        with pytest.raises(RuntimeError, match="second time"):
            total.backward()
        w.grad = None
        y = (x @ w).tanh()
        z = y * 2
        torch.synchronize()
        (z.sum() + y.sum() + total.detach()).backward()
        assert torch.allclose(w.grad, 3 * x.T @ (1 - y * y))
        w.grad = None
    assert passes.count(False) == ROUNDS  # the second pass of each sum


def test_second_derivatives_are_not_followed(passes):
    x, w, _ = weights()
    for _ in range(ROUNDS):
        y = (x @ w).tanh().sum()
        y.item()
        (g,) = torch.autograd.grad(y, w, create_graph=True)
        (g * g).sum().backward()
        assert w.grad.abs().sum().item() > 0
        w.grad = None
    assert passes == []


def test_results_of_which_one_is_not_differentiated(passes):
    """What only the others depend on has no nodes, whether or not it was written in place."""
    for i in range(ROUNDS):
        x = torch.tensor([[0.5], [2.0]], requires_grad=True)
        y = x * 2
        z = y * y
        part = y[:1]
        z.fill_(-1.5)
        v = torch.ones(1)
        v.copy_(3 - part.sum().reshape(1))
        torch.synchronize()
        (part if i % 2 else (v * v).sum()).backward(torch.ones([1, 1]) if i % 2 else None)
        assert x.grad.tolist() == [[2.0 if i % 2 else -8.0], [0.0]]
    assert passes
