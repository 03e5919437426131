"""How results lie in memory, for operands that are permuted, spread or have gaps.

It decides which views a program may take, and in which order random numbers fill a tensor.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from nn.stored import agrees, raised

import facula as torch


def operands(torch):
    x = torch.arange(24.0).reshape(2, 3, 4)
    return {
        "plain": x,
        "permuted": x.permute(2, 0, 1),
        "with gaps": x[:, ::2],
        "spread": x[:1].expand(2, 3, 4),
        "matrix": x[0].t(),
        "vector": x[0, :, 1],
        "one row": x[:, :1].transpose(0, 1),
        "channels last": torch.arange(48.0).reshape(2, 2, 3, 4).permute(0, 3, 1, 2),
        "no elements": torch.zeros(3, 0, 2).permute(2, 0, 1),
        "one more": x[0].t()[None],
        "permuted with gaps": x[0].t()[::2],
    }


OF_ONE = [
    *("clone()", "contiguous()", "exp()", "relu()", "clamp(0,1)", "double()"),
    *("to(torch.int64)", "round()", "isnan()", "pow(2)", "add(1)", "cumsum(0)", "cumprod(0)"),
    *("logcumsumexp(0)", "cummax(0)[0]", "sort(0)[0]", "sort(-1)[0]", "argsort(0)"),
    *("topk(1,0)[0]", "flip(0)", "roll(1,0)", "repeat_interleave(2,0)", "repeat(*[1]*x.dim())"),
    *("tile((2,))", "diff(dim=0)", "unfold(0,1,1)", "sum(0)", "mean(0)", "amax(0)", "var(0)"),
    *("norm(2,0)", "logsumexp(0)", "max(0)[0]", "median(0)[0]", "softmax(0)", "softmax(-1)"),
    *("log_softmax(-1)", "tril()", "masked_fill(x>1,0)", "masked_scatter(x>1,x)"),
    *("index_select(0,i)", "gather(0,j)", "take_along_dim(j,0)", "index_add(0,i,x[:1])"),
    *("index_copy(0,i,x[:1])", "index_fill(0,i,1.)", "scatter(0,j,x)", "scatter_add(0,j,x)"),
    *("index_put((i,),x[:1])", "put(i,x.reshape(-1)[:1])", "where(x>1,x)", "lerp(x,0.5)"),
    *("addcmul(x,x)", "mul(x[:1])", "add(x.contiguous())", "matmul(x.mT)", "new_zeros(2,3)"),
    *("ravel()", "flatten()", "reshape(-1)", "squeeze()", "unsqueeze(0)", "unsqueeze(-1)"),
    *("unsqueeze(1)", "expand_as(x)", "select(0,0)", "movedim(0,-1)", "split(1)[0]"),
    *("diagonal(0,0,1)", "clone().cumsum_(0)"),
]
OF_TWO = [
    *("zeros_like(x)", "full_like(x,2)", "rand_like(x)", "maximum(x,x)", "where(x>1,x,0.)"),
    *("cat([x],0)", "cat([x,x],0)", "cat([x,x],-1)", "stack([x,x],-1)", "atan2(x,x)"),
    *("select_scatter(x,x[0],0,0)", "outer(x.reshape(-1),x.reshape(-1))", "logical_not(x)"),
    *("add(x,1,out=torch.empty(0))", "exp(x,out=torch.empty(0))", "sum(x,0,out=torch.empty(0))"),
    *("nn.functional.gelu(x)", "nn.functional.hardtanh(x)", "nn.functional.softplus(x)"),
]
INDICES = ["[-1]", "i", "i, None, 1:", ":, i", "i, :, i", "mask", "mask, ::2", "..., i", "None, i"]


@agrees
def test_the_strides_of_results(torch):
    out = {}
    i = torch.tensor([0])
    for name, x in operands(torch).items():
        j = torch.zeros(x.shape, dtype=torch.int64)
        mask = torch.arange(x.shape[0]) > 0
        calls = ["x." + f for f in OF_ONE] + ["torch." + f for f in OF_TWO]
        calls += [f"x[{index}]" for index in INDICES]
        for call in calls:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of deviations of one number
                    y = eval(call, {"torch": torch, "x": x, "i": i, "j": j, "mask": mask})
            except (RuntimeError, IndexError) as e:
                out[f"{name}: {call}"] = type(e).__name__
                continue
            # The step of a dimension of one element, or of none, has no meaning.
            steps = [s if n != 1 else 0 for s, n in zip(y.stride(), y.shape)]
            out[f"{name}: {call}"] = [list(y.shape), steps if y.numel() else []]
    return out


@agrees
def test_a_view_of_what_was_indexed(torch):
    x = torch.arange(6.0).reshape(2, 3).t()
    return [
        x[torch.tensor([0, 2])].stride(),
        x[1, None, 1:],
        x[None, -1].stride(),
        x.mT[0].stride(),
    ]


def test_views_in_place_of_expanded_memory():
    """They write to no element, so elements may share memory."""

    def expanded():
        return torch.arange(3.0).reshape(3, 1).expand(2, 3, 2)

    want = expanded().numpy()
    assert np.array_equal(expanded().transpose_(0, 1).numpy(), want.transpose(1, 0, 2))
    assert np.array_equal(expanded().unsqueeze_(1).numpy(), want[:, None])
    assert np.array_equal(expanded()[:1].squeeze_(0).numpy(), want[0])
    assert np.array_equal(expanded()[0].t_().numpy(), want[0].T)
    assert expanded().transpose_(0, 2).stride() == (0, 1, 0)
    with pytest.raises(IndexError):
        expanded().transpose_(-1, 3)


def test_resize_to_a_memory_format():
    x = torch.arange(24.0).resize_(1, 2, 3, 4, memory_format=torch.channels_last)
    assert x.stride() == (24, 1, 8, 2)
    assert x.permute(0, 2, 3, 1).flatten().tolist() == list(range(24))
    x.resize_(1, 2, 3, 4, memory_format=torch.contiguous_format)
    assert x.stride() == (24, 12, 4, 1) and x.flatten().tolist() == list(range(24))
    x.resize_(2, 2, 3, 4, memory_format=torch.channels_last)
    assert x.stride() == (24, 1, 8, 2) and x[0].permute(1, 2, 0).flatten().tolist()[-1] == 23
    other = torch.empty(1, 2, 2, 3, memory_format=torch.channels_last)
    assert torch.ones(2).resize_as_(other).stride() == (12, 6, 3, 1)
    kept = torch.ones(2).resize_as_(other, memory_format=torch.preserve_format)
    assert kept.stride() == (12, 1, 6, 2)
    with pytest.raises(RuntimeError, match="Preserve"):
        x.resize_(2, 2, memory_format=torch.preserve_format)
    with pytest.raises(RuntimeError, match="size calculation overflowed"):
        x.resize_(2, 4, 2**29, 2**29)


@agrees
def test_powers_of_numbers_and_one_hot_rows_lie_row_by_row(torch):
    x = torch.arange(12.0).reshape(3, 4).t()
    made = (2**x, 2.0**x, torch.pow(2, x), torch.nn.functional.one_hot(x.long(), 12), x**2)
    return [made[0], *[list(t.stride()) for t in made]]


@agrees
def test_sizes_that_no_memory_has(torch):
    sizes = (
        [2, 4, 2**29, 2**29],
        [8, 8, 2**29, 2**29],
        [0, 4, 2**61],
        [2**70],
        [-1, 2],
        [0, 2**40],
    )
    return [raised(torch.empty((), dtype=torch.float64).resize_, size) for size in sizes]
