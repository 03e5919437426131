"""The public names of `torch.compiler`: what they mark runs as it is, as with PyTorch."""

from __future__ import annotations

import pytest

import facula as torch
from facula import compiler


def double(x):
    """Twice x."""
    return x * 2


MARKED = {
    "disable": compiler.disable,
    "disable, with a reason": compiler.disable(reason="a test"),
    "allow_in_graph": compiler.allow_in_graph,
    "assume_constant_result": compiler.assume_constant_result,
    "nested_compile_region": compiler.nested_compile_region,
    "substitute_in_graph": compiler.substitute_in_graph(abs),
    "set_stance": compiler.set_stance("force_eager"),
    "compile": compiler.compile,
    "compile, as a decorator": compiler.compile(fullgraph=True),
}


@pytest.mark.parametrize("mark", MARKED.values(), ids=MARKED)
def test_a_marked_function_is_what_it_was(mark):
    f = mark(double)
    assert f(torch.ones(2)).tolist() == [2, 2] and f.__doc__ == double.__doc__


def test_nothing_is_traced_and_there_is_nothing_to_choose():
    assert not (torch.compiler.is_compiling() or compiler.is_exporting())
    assert compiler.list_backends() == []
    with compiler.set_stance("force_eager"):
        assert double(3) == 6
    compiler.reset()
    compiler.cudagraph_mark_step_begin()
    with pytest.raises(AttributeError, match="is not in Facula"):
        compiler.nothing
