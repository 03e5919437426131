"""Modules as functions of their state, and `functorch` as programs import it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import facula as torch
from facula import run
from facula._functorch.make_functional import (
    combine_state_for_ensemble,
    make_functional,
    make_functional_with_buffers,
)


def test_a_function_of_the_parameters():
    m, x = torch.nn.Linear(3, 2), torch.ones(4, 3)
    f, params = make_functional(m)
    assert f(params, x).equal(m(x)) and all([p.requires_grad for p in params])
    assert f(tuple([p * 0 for p in params]), x).count_nonzero() == 0
    assert not any([p.requires_grad for p in make_functional(m, True)[1]])
    with pytest.raises(RuntimeError, match="make_functional_with_buffers"):
        make_functional(torch.nn.BatchNorm1d(2))


def test_an_ensemble_is_computed_at_once():
    models = [
        torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).eval() for _ in range(3)
    ]
    x = torch.ones(4, 3)
    f, params, buffers = combine_state_for_ensemble(models)
    out = torch.vmap(f, (0, 0, None))(params, buffers, x)
    torch.testing.assert_close(out, torch.stack([m(x) for m in models]))
    one, p, b = make_functional_with_buffers(models[1])
    torch.testing.assert_close(one(p, b, x), out[1])
    for wrong in ([], [models[0], torch.nn.Linear(3, 2)]):
        with pytest.raises(RuntimeError, match="combine_state_for_ensemble"):
            combine_state_for_ensemble(wrong)


def test_functorch_is_found_by_programs():
    place = Path(run.__file__).parent / "_children" / "functorch" / "__init__.py"
    spec = importlib.util.spec_from_file_location("functorch", place)
    functorch = importlib.util.module_from_spec(spec)
    run.install()
    try:
        spec.loader.exec_module(functorch)
    finally:
        run.uninstall()
    assert functorch.grad is torch.func.grad and functorch.make_functional is make_functional
    assert all([hasattr(functorch, name) for name in functorch.__all__])
    with pytest.raises(AttributeError, match="no_such"):
        functorch.no_such
