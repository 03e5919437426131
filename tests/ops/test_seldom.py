"""Methods that programs seldom name."""

from __future__ import annotations

import pytest
from nn.stored import agrees, message

import facula
from facula import warned


@agrees
def test_orders_of_dimensions(torch):
    x = torch.ones(2, 3, 4)
    return [
        list(x.dim_order()),
        list(x.t_().dim_order()) if x.dim() == 2 else list(x.permute(2, 0, 1).dim_order()),
        list(torch.ones(1, 1).dim_order()),
        list(torch.ones(3).expand(2, 3).dim_order()),
        message(torch.ones(2, 1).dim_order, ambiguity_check=True)[0],
    ]


@agrees
def test_a_function_of_three_tensors_element_by_element(torch):
    x = torch.arange(6.0).reshape(2, 3)
    y = torch.arange(3.0)
    leaf = torch.ones(2, 3, requires_grad=True)
    call = lambda a, b, c: a + 2 * b - c  # noqa: E731
    return [
        x.map2_(x.clone(), y, call),
        message(leaf.map2_, x, x, call)[0],
        message(x.map2_, 3, x, call)[0],
    ]


@agrees
def test_what_was_removed_says_so(torch):
    x = torch.ones(2, 2)
    calls = [x.lstsq, x.solve, torch.lstsq, torch.solve]
    found = [message(f, x) if i < 2 else message(f, x, x) for i, f in enumerate(calls)]
    found += [message(f) for f in (x.eig, x.symeig)]
    return [[kind, text[:64]] for kind, text in found]


@agrees
def test_small_questions(torch):
    x = torch.ones(2)
    other = x.is_distributed(), x.const_data_ptr() == x.data_ptr()
    return [*other, message(x.record_stream, None)[0], message(x.ipu)[0]]


# Calls that `fuzz/drawn.py` found to differ.
DRAWN = """
torch.median(torch.ones(0, dtype=torch.int64))
torch.median(torch.ones(0))
torch.addcmul(torch.tensor([1, 2]), torch.tensor([1, 2]), torch.tensor([3, 4]), value=1.5)
torch.addcmul(torch.tensor([1.0, 2]), torch.tensor([1, 2]), torch.tensor([3, 4]), value=1.5)
torch.repeat_interleave(torch.tensor([1, 2], dtype=torch.int32))
torch.ones(2, 3).sum_to_size(size=(1, 3))
torch.arange(6.0).reshape(2, 3).swapaxes_(0, axis1=1)
torch.arange(6.0).reshape(2, 3).swapdims_(dim0=0, dim1=1)
torch.linalg.slogdet(torch.arange(18.0).reshape(2, 3, 3) ** 2 + torch.eye(3))[1].view(-1)
torch.linalg.eigh(torch.eye(3)[None].repeat(2, 1, 1)).eigenvalues.view(-1)
torch.nn.functional.multilabel_soft_margin_loss(torch.arange(3.0), torch.ones(2, 3))
torch.broadcast_shapes(None, (3,))
torch.view_as_real(torch.tensor(complex("nan")).nan_to_num_(1.0))
torch.isclose(torch.tensor([0, 2, 3]), torch.tensor([1, 3, 9]), 0.5)
torch.isclose(torch.tensor([0, 2, 3]), torch.tensor([1, 3, 9]), 0.0, 1.0)
torch.allclose(torch.tensor([2**24 + 1]), torch.tensor([2**24]), 0, 0)
torch.isclose(torch.tensor([True, False]), torch.tensor([False, False]), atol=1.0)
torch.allclose(torch.tensor([1, 2]), torch.tensor([1, 3]))
torch.ones(3, 2).t().isreal().stride()
torch.atleast_3d(torch.ones(3, 2).t()).stride()
torch.eye(2).nonzero().stride()
torch.result_type(torch.ones(1), other=1)
torch.result_type(1, tensor=torch.ones(1))
torch.result_type(scalar1=1, scalar2=2)
torch.nn.functional.gaussian_nll_loss(torch.ones(2), 2, torch.ones(2))
"""


@agrees
def test_drawn_calls(torch):
    return {call: eval(call, {"torch": torch}) for call in DRAWN.strip().splitlines()}


def test_a_deviation_of_too_few_numbers_is_warned_of():
    for f in (facula.std, facula.var, facula.std_mean, facula.var_mean):
        with pytest.warns(UserWarning, match="degrees of freedom"):
            f(facula.ones(1))
    with pytest.raises(NotImplementedError, match="bools"):
        facula.addcmul(*[facula.ones(1, dtype=facula.bool)] * 3)


@pytest.mark.parametrize(
    "call, text",
    [
        ("torch.ones(3).T", "dimension other than 2"),
        ("torch.ones(()).T", "Tensor.T is deprecated on 0-D"),
        ("torch.ones(()).mT", "Tensor.mT is deprecated on 0-D"),
        ("torch.ones(()).mH", "Tensor.mH is deprecated on 0-D"),
        ("torch.meshgrid(torch.ones(2))", "indexing argument"),
        ("torch.tensor(torch.ones(2))", "To copy construct from a tensor"),
        ("torch.ones(2).new_tensor(torch.ones(2))", "To copy construct from a tensor"),
    ],
)
def test_what_is_warned_of(call, text):
    warned._told.clear()
    with pytest.warns(UserWarning, match=text) as found:
        eval(call, {"torch": facula})
    assert found[0].filename == "<string>"  # the user's own line


@agrees
def test_rows_that_are_shortened(torch):
    out = []
    for norm in (1.0, 2.0, float("inf")):
        x = torch.arange(12.0).reshape(3, 4) - 3
        out += [torch.embedding_renorm_(x, torch.tensor([0, 1, 1]), 1.5, norm) is x, x]
    return out


@agrees
def test_settings_that_torchscript_takes_for_constants(torch):
    names = [
        "Linear",
        "LazyConv2d",
        "BatchNorm2d",
        "LSTM",
        "GRUCell",
        "Upsample",
        "ZeroPad3d",
        "SiLU",
        "CTCLoss",
        "PReLU",
    ]
    return {name: getattr(torch.nn, name).__constants__ for name in names}


@agrees(atol=4e-3)
def test_windows_of_16_bit_floats(torch):
    names = ("hann", "hamming", "bartlett", "blackman", "kaiser")
    windows = [getattr(torch, name + "_window")(5, dtype=torch.float16) for name in names]
    settings = torch.hamming_window(4, True, 0.5, 0.5, dtype=torch.float16)
    return [w.float() for w in (*windows, settings)] + [settings.dtype]
