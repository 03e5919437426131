"""Tensors print as PyTorch 2.13 prints them (the expected strings are its output)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import facula as torch

CASES = [
    (lambda: torch.tensor(1.5), "tensor(1.5000)"),
    (lambda: torch.tensor([1, 2, 3]), "tensor([1, 2, 3])"),
    (lambda: torch.tensor([True, False]), "tensor([ True, False])"),
    (
        lambda: torch.tensor([[1.0, 2.0], [3.0, 4.5]]),
        "tensor([[1.0000, 2.0000],\n        [3.0000, 4.5000]])",
    ),
    (lambda: torch.tensor([1e-6, 1.0, 1000.0]), "tensor([1.0000e-06, 1.0000e+00, 1.0000e+03])"),
    (lambda: torch.tensor([float("nan"), float("inf"), 1.0]), "tensor([nan, inf, 1.])"),
    (lambda: torch.zeros(2, 0), "tensor([], size=(2, 0))"),
    (
        lambda: torch.ones(3, dtype=torch.float64, requires_grad=True),
        "tensor([1., 1., 1.], dtype=torch.float64, requires_grad=True)",
    ),
    (lambda: torch.arange(2000), "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"),
    (lambda: torch.tensor([1 + 2j, 3.5 - 1j]), "tensor([1.0000+2.j, 3.5000-1.j])"),
]


@pytest.mark.parametrize(("make", "expected"), CASES)
def test_repr(make, expected):
    assert repr(make()) == expected


def test_options_change_the_precision():
    torch.set_printoptions(precision=2)
    try:
        assert repr(torch.tensor(1.23456)) == "tensor(1.23)"
    finally:
        torch.set_printoptions(profile="default")


STORED = json.loads((Path(__file__).parent / "data" / "printing.json").read_text())


@pytest.mark.parametrize("k", range(len(STORED["options"])))
def test_options_as_in_pytorch(k):
    torch.set_printoptions(**STORED["options"][k])
    try:
        printed = [repr(eval(t)) for t in STORED["tensors"]]
    finally:
        torch.set_printoptions(profile="default")
    assert printed == STORED["texts"][k]


class Named(torch.Tensor):
    """A class of a program."""


class Weight(torch.nn.Parameter):
    """A parameter of a program."""


def test_a_subclass_prints_its_name():
    x = torch.arange(20.0).reshape(2, 10).as_subclass(Named)
    lines = (
        "[ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9.]",
        "[10., 11., 12., 13., 14., 15., 16.",
    )
    assert repr(x).startswith(f"Named([{lines[0]},\n       {lines[1]}")
    want = "Parameter containing:\nParameter(Weight([1., 1.], requires_grad=True))"
    assert repr(Weight(torch.ones(2))) == want
    assert repr(x.to("meta")) == "Named(..., device='meta', size=(2, 10))"
