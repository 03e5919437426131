"""Branches and loops as functions."""

from nn.stored import agrees, message, raised


@agrees
def test_branches(torch):
    x = torch.arange(3.0, requires_grad=True)

    def choose(t):
        return torch.cond(t.sum() > 2, lambda t: t.sin(), lambda t: t * 2, (t,))

    out = [choose(x), choose(x - 1), *torch.autograd.grad(choose(x).sum(), x)]
    identity = lambda t: t  # noqa: E731
    out.append(raised(torch.cond, torch.ones(2), identity, identity, (x,)))
    out.append(raised(torch.cond, "a", identity, identity, (x,)))
    return [*out, torch.cond(True, lambda t: t + 1, identity, [x])]


@agrees
def test_loops(torch):
    count, x = torch.while_loop(
        lambda i, x: i < 4, lambda i, x: (i + 1, x * 2), (torch.tensor(0), torch.ones(2))
    )
    return [count, x]


def test_a_body_that_returns_too_little():
    import facula

    kind, text = message(facula.while_loop, lambda i: i < 2, lambda i: (), (facula.tensor(0),))
    assert kind == "RuntimeError" and "1 values" in text
