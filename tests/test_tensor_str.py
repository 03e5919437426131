"""Printing by its private names; the expected text is PyTorch's."""

import pytest

import facula as torch
from facula._tensor_str import PRINT_OPTS, _Formatter, _str, _tensor_str


def test_elements_without_what_stands_around_them():
    assert _tensor_str(torch.tensor([[1.5, 2], [3, 4]]), 0) == (
        "[[1.5000, 2.0000],\n [3.0000, 4.0000]]"
    )
    assert _tensor_str(torch.tensor([[1, 2], [3, 40]]), 4) == "[[ 1,  2],\n     [ 3, 40]]"
    assert _tensor_str(torch.tensor(1.5, dtype=torch.bfloat16, requires_grad=True), 0) == "1.5000"
    assert _tensor_str(torch.ones(0), 0) == "[]"


@pytest.mark.parametrize(
    ("elements", "value", "text", "width"),
    [
        ([1.0, 2.0], 2.0, "2.", 2),
        ([0.12345, 10.0], 0.12345, " 0.1235", 7),
        ([1e-5, 1.0], 1e-5, "1.0000e-05", 10),
        ([1, 100], 7, "  7", 3),
        ([1.0, float("nan")], float("nan"), "nan", 2),
    ],
)
def test_the_notation_of_all_elements_for_one(elements, value, text, width):
    found = _Formatter(torch.tensor(elements))
    assert (found.format(value), found.width(), found.max_width) == (text, width, width)


def test_a_tensor_as_it_is_printed(monkeypatch):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    monkeypatch.setattr(torch.Tensor, "__repr__", lambda self, **kwargs: "another")
    assert repr(x) == "another" and _str(x) == "tensor([1., 2.], requires_grad=True)"
    assert _str(x * 2) == "tensor([2., 4.], grad_fn=<MulBackward0>)"


def test_options_are_read_and_set():
    assert PRINT_OPTS.threshold == torch.get_printoptions()["threshold"]
    before = PRINT_OPTS.precision
    PRINT_OPTS.precision = 2
    try:
        assert str(torch.tensor(1.25)) == "tensor(1.25)"
    finally:
        PRINT_OPTS.precision = before
    with pytest.raises(AttributeError, match="colour"):
        PRINT_OPTS.colour = 1
