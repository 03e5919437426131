"""Mistakes that users make: PyTorch's exception, a message, and every tensor as it was before.

`mistakes.txt` has one mistake a line; the types of PyTorch's exceptions are in the stored data.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from mistakes import attempt
from nn.stored import agrees

import facula

LINES = (Path(__file__).parent / "mistakes.txt").read_text().splitlines()
MISTAKES = [line for line in LINES if line and not line.startswith("#")]


@agrees
def test_the_type_of_the_exception_is_pytorchs(torch):
    out = {}
    for statement in MISTAKES:
        error = attempt(torch, statement, False)[0]
        out[statement] = type(error).__name__.lstrip("_")
    return out


@pytest.mark.parametrize("part", range(8))
def test_the_message_says_something_and_no_tensor_has_changed(part):
    wrong = []
    for statement in MISTAKES[part::8]:
        error, changed, _ = attempt(facula, statement, True)
        if changed or error is None or len(str(error)) < 8:
            wrong.append((statement, repr(error), changed))
    assert not wrong
