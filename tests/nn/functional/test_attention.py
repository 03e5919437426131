"""Attention: how its results lie in memory."""

import pytest

import facula as torch
from facula.nn import functional as F

# Queries, what else is given, and the strides of the result in PyTorch 2.13 on the CPU.
HEADS_APART = (2, 5, 3, 4)
TABLE = [
    ("rows", lambda: (torch.randn(2, 3, 5, 4),), {}, (60, 20, 4, 1)),
    ("heads apart", lambda: (torch.randn(*HEADS_APART).transpose(1, 2),), {}, (60, 4, 12, 1)),
    (
        "of one layer",
        lambda: (torch.randn(2, 5, 3, 3, 4).permute(2, 0, 3, 1, 4)[0],),
        {},
        (60, 4, 12, 1),
    ),
    (
        "causal",
        lambda: (torch.randn(*HEADS_APART).transpose(1, 2),),
        {"is_causal": True},
        (60, 4, 12, 1),
    ),
    ("batch second", lambda: (torch.randn(5, 2, 3, 4).permute(1, 2, 0, 3),), {}, (12, 4, 24, 1)),
    (
        "expanded",
        lambda: (torch.randn(1, 5, 3, 4).transpose(1, 2).expand(2, 3, 5, 4),),
        {},
        (60, 4, 12, 1),
    ),
    ("numbers apart", lambda: (torch.randn(2, 4, 3, 5).transpose(1, 3),), {}, (60, 12, 4, 1)),
    ("double", lambda: (torch.randn(*HEADS_APART).double().transpose(1, 2),), {}, (60, 4, 12, 1)),
    (
        "other keys",
        lambda: (torch.randn(*HEADS_APART).transpose(1, 2), *[torch.randn(2, 3, 7, 4)] * 2),
        {},
        (60, 4, 12, 1),
    ),
    (
        "other values",
        lambda: (
            torch.randn(*HEADS_APART).transpose(1, 2),
            torch.randn(2, 3, 5, 4),
            torch.randn(2, 3, 5, 6),
        ),
        {},
        (90, 30, 6, 1),
    ),
    (
        "fewer keys",
        lambda: (torch.randn(2, 5, 4, 4).transpose(1, 2), *[torch.randn(2, 2, 5, 4)] * 2),
        {"enable_gqa": True},
        (80, 4, 16, 1),
    ),
    (
        "dropout",
        lambda: (torch.randn(*HEADS_APART).transpose(1, 2),),
        {"dropout_p": 0.1},
        (60, 20, 4, 1),
    ),
    ("three dimensions", lambda: (torch.randn(5, 3, 4).transpose(0, 1),), {}, (20, 4, 1)),
]
MASKS = [
    ((5, 5), False, (60, 4, 12, 1)),
    ((2, 1, 1, 5), False, (60, 4, 12, 1)),
    ((3, 5, 5), False, (60, 20, 4, 1)),
    ((5, 5), True, (60, 20, 4, 1)),
]


@pytest.mark.parametrize(
    "make, options, strides", [t[1:] for t in TABLE], ids=[t[0] for t in TABLE]
)
def test_results_lie_as_queries_do(make, options, strides):
    q, *rest = make()
    k, v = rest or (q, q)
    out = F.scaled_dot_product_attention(q, k, v, **options)
    assert out.stride() == strides
    if not options.get("dropout_p"):
        again = F.scaled_dot_product_attention(*[t.contiguous() for t in (q, k, v)], **options)
        assert out.equal(again)


@pytest.mark.parametrize("shape, differentiable, strides", MASKS)
def test_masks(shape, differentiable, strides):
    q = torch.randn(*HEADS_APART).transpose(1, 2)
    mask = torch.zeros(shape, requires_grad=differentiable)
    assert F.scaled_dot_product_attention(q, q, q, attn_mask=mask).stride() == strides


def test_heads_are_put_together_by_view():
    x = torch.randn(2, 5, 12, requires_grad=True)
    q, k, v = (x.view(2, 5, 3, 4).transpose(1, 2) for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).view(2, 5, 12)
    (g,) = torch.autograd.grad(y.square().sum(), x)
    z = F.scaled_dot_product_attention(*[t.contiguous() for t in (q, k, v)]).transpose(1, 2)
    (h,) = torch.autograd.grad(z.reshape(2, 5, 12).square().sum(), x)
    assert y.equal(z.reshape(2, 5, 12)) and torch.allclose(g, h, rtol=1e-6, atol=1e-6)


# Sums of results and of the gradients of queries in PyTorch 2.13 on the CPU.
@pytest.mark.parametrize(
    "mask, value, gradient",
    [
        (
            lambda: torch.arange(5.0).sub(3) * torch.tensor([1.0, -0.5]).view(2, 1, 1, 1),
            -6.372364,
            19.35594,
        ),
        (
            lambda: torch.tensor([[True, False, True, True, False]]).expand(3, 5),
            -6.499706,
            8.921987,
        ),
    ],
)
def test_a_mask_beside_the_causal_one(mask, value, gradient):
    torch.manual_seed(0)
    q = torch.randn(2, 2, 3, 4, requires_grad=True)
    k, v = torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)
    for _ in range(3):  # interpreted, then compiled
        q.grad = None
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask(), is_causal=True)
        (y * torch.arange(4)).sum().backward()
        assert y.sum().item() == pytest.approx(value, rel=1e-5)
        assert q.grad.abs().sum().item() == pytest.approx(gradient, rel=1e-5)


@pytest.mark.parametrize(
    "shape, mask, dropout",
    [((2, 3, 4), (3, 3), 0.0), ((1, 2, 3, 4), (2, 3, 3), 0.0), ((1, 2, 3, 4), (3, 3), 0.5)],
)
def test_two_masks_are_refused_where_pytorchs_fused_kernel_is_not_asked(shape, mask, dropout):
    x = torch.ones(shape)
    with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set"):
        F.scaled_dot_product_attention(x, x, x, torch.zeros(mask), dropout, is_causal=True)
