"""Tensors in a notebook, and HTML that is escaped and bounded."""

from __future__ import annotations

import re

import pytest

import facula as torch
from facula.notebook import html
from facula.trace.recorder import TLS


def test_a_tensor_shows_what_it_is_and_what_print_says():
    t = torch.arange(6.0).reshape(2, 3).requires_grad_()
    shown = t._repr_html_()
    assert "2 × 3 · torch.float32 · cpu · 24 B" in shown
    assert f"<pre>{t!r}</pre>" in shown and "requires_grad=True" in shown
    assert "grad_fn=&lt;MulBackward0&gt;" in (t * 2)._repr_html_()
    assert "a single number · torch.int64 · cpu · 8 B" in torch.tensor(3)._repr_html_()
    assert "0 × 4 · torch.bool" in torch.empty(0, 4, dtype=torch.bool)._repr_html_()


def test_print_is_as_it_was():
    assert repr(torch.tensor([1.0])) == str(torch.tensor([1.0])) == "tensor([1.])"


def test_other_kinds_of_tensors():
    shown = torch.eye(2).to_sparse()._repr_html_()
    assert "2 × 2" in shown and "torch.sparse_coo" in shown and "nnz=2" in shown
    lazy = torch.nn.parameter.UninitializedParameter()
    assert lazy._repr_html_() == "<pre>&lt;UninitializedParameter&gt;</pre>"
    assert "Parameter containing:" in torch.nn.Parameter(torch.ones(1))._repr_html_()


def test_tensors_without_values():
    shown = torch.empty(3, 10**9, device="meta")._repr_html_()
    assert "3 × 1000000000 · torch.float32 · meta · 12 GB" in shown and "tensor(...," in shown


def test_a_pending_tensor_is_computed_when_it_is_shown():
    x = torch.ones(3) + 1
    assert "tensor([2., 2., 2.])" in x._repr_html_()


def test_a_large_tensor_shows_its_corners():
    shown = torch.zeros(2000, 2000)._repr_html_()
    assert "16 MB" in shown and len(shown) < 1000


def test_what_is_printed_in_full_is_cut():
    torch.set_printoptions(profile="full")
    try:
        shown = torch.zeros(100, 1000)._repr_html_()
    finally:
        torch.set_printoptions(profile="default")
    assert len(shown) < html.MOST_CHARACTERS + 500
    assert re.search(r"\.\.\. \d{6} characters are left out \.\.\.", shown)


def test_tables_are_escaped():
    shown = html.table(["<b>"], [["<script>&"], ["x" * 600]])
    assert "<b>" not in shown and "<script>" not in shown
    assert "&lt;b&gt;" in shown and "&lt;script&gt;&amp;" in shown
    assert "... 100 characters are left out ..." in shown


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1536, "1.54 kB"), (25_600_000, "25.6 MB"),
     (3 * 10**9, "3 GB"), (2 * 10**12, "2 TB")],
)  # fmt: skip
def test_sizes(count, words):
    assert html.size(count) == words


def test_nothing_is_pending_or_run_for_the_facts():
    """Only `repr` reads the values."""
    before = TLS.r.frame
    t = torch.ones(2) * 3
    assert (t.shape, t.dtype, t.numel() * t.element_size()) == ((2,), torch.float32, 8)
    assert TLS.r.frame == before
    t._repr_html_()
    assert TLS.r.frame > before
