"""Counting arithmetic: sums known from the shapes, which are PyTorch's where it counts them so."""

import re

import pytest

import facula as torch
from facula import nn
from facula.utils.flop_counter import FlopCounterMode, register_flop_formula

MM, BMM = torch.ops.aten.mm, torch.ops.aten.bmm
CONV, BACK = torch.ops.aten.convolution, torch.ops.aten.convolution_backward


def counts(f, *args):
    with FlopCounterMode(display=False) as counter:
        f(*args)
    return counter


@pytest.mark.parametrize(
    "f, shapes, expected",
    [
        (torch.mm, [(3, 5), (5, 7)], {MM: 2 * 3 * 5 * 7}),
        (torch.matmul, [(2, 3, 5), (2, 5, 7)], {BMM: 2 * 2 * 3 * 5 * 7}),
        (torch.conv1d, [(2, 3, 9), (4, 3, 3)], {CONV: 2 * 2 * 4 * 7 * 3 * 3}),
        (torch.conv_transpose2d, [(2, 3, 4, 5), (3, 6, 2, 2)], {CONV: 2 * 2 * 3 * 20 * 6 * 4}),
        (torch.add, [(3, 5), (3, 5)], {}),
    ],
)
def test_counts_follow_from_shapes(f, shapes, expected):
    counter = counts(f, *[torch.ones(s) for s in shapes])
    assert counter.get_flop_counts().get("Global", {}) == expected
    assert counter.get_total_flops() == sum(expected.values())


def net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)
    )


@pytest.mark.parametrize("read", [False, True])
def test_modules_and_backward(read):
    """Whether or not a value is read on the way, and when the step is known already."""
    model, x = net(), torch.ones(4, 3, 6, 6)
    conv, linear = 2 * 4 * 8 * 36 * 27, 2 * 4 * 288 * 10
    for _ in range(3):
        with FlopCounterMode(display=False) as counter:
            loss = model(x).sum()
            if read:
                loss.item()
            loss.backward()
            model.zero_grad()
        found = counter.get_flop_counts()
        assert found["Sequential.0"] == {CONV: conv, BACK: conv}  # x needs no gradient
        assert found["Sequential.3"] == {MM: 3 * linear}
        assert found["Sequential"] == found["Global"] == {CONV: conv, BACK: conv, MM: 3 * linear}
        assert counter.get_total_flops() == 2 * conv + 3 * linear


def test_a_pass_that_ends_leaves_all_modules():
    model, x = net(), torch.ones(1, 3, 6, 6)
    with FlopCounterMode(display=False) as counter:
        model(x).sum().backward()
        assert counter.mod_tracker.parents == {"Global"} and not counter.mod_tracker.is_bw
        torch.ones(2, 3) @ torch.ones(3, 4)
    found = counter.get_flop_counts()
    assert found["Global"][MM] == found["Sequential"][MM] + 2 * 2 * 3 * 4


def test_table(capsys):
    with FlopCounterMode(depth=1):
        net()(torch.ones(1, 3, 6, 6))
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Module\s+FLOP\s+% Total", lines[0].rstrip())
    assert lines[2].split() == ["Sequential", "21.312K", "100.00%"]
    assert len(lines) == 5 and "Sequential.0" not in "".join(lines)
    assert "Global" in counts(int).get_table()


def test_what_is_not_counted_is_refused():
    with pytest.raises(NotImplementedError, match="custom_mapping"):
        FlopCounterMode(custom_mapping={MM: max})
    with pytest.raises(NotImplementedError, match="register_flop_formula"):
        register_flop_formula(MM)
    with (
        FlopCounterMode(display=False),
        pytest.raises(RuntimeError, match="already"),
        FlopCounterMode(display=False),
    ):
        pass


@pytest.mark.parametrize("transposed", [False, True])
def test_convolution_by_its_name_in_the_library(transposed):
    x, b = torch.randn(2, 4, 7, 8), torch.randn(4)
    w = torch.randn(4, 2, 3, 3)  # 4 to 4 channels in 2 groups, both ways
    ends = ((2, 1), (1, 1), (1, 1), transposed, (1, 0) if transposed else (0, 0), 2)
    leaves = [t.clone().requires_grad_() for t in (x, w, b)]
    out = CONV(*leaves, *ends)
    g = torch.randn(out.shape)
    out.backward(g)
    grads = BACK(g, x, w, [4], *ends, (True, True, True))
    for mine, t in zip(grads, leaves):
        assert torch.allclose(mine, t.grad, atol=1e-5)
    only = BACK(g, x, w, [4], *ends, (False, True, False))
    assert only[0] is None and only[2] is None and torch.equal(only[1], grads[1])
