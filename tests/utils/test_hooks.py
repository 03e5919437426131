"""Handles of hooks."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest

import facula
from facula.utils.hooks import RemovableHandle, add_hook


def test_a_hook_is_removed_once():
    table = OrderedDict()
    a, b = add_hook(table, "a"), add_hook(table, "b", prepend=True)
    assert list(table.values()) == ["b", "a"] and a.id != b.id
    a.remove()
    a.remove()
    assert list(table.values()) == ["b"]
    with b as same:
        assert same is b
    assert not table


def test_a_handle_keeps_nothing_alive_and_knows_further_tables():
    table, other, third = OrderedDict(), OrderedDict(), OrderedDict()
    for extra in (other, [other, third]):
        handle = RemovableHandle(table, extra_dict=extra)
        tables = [table, other] + ([third] if isinstance(extra, list) else [])
        for t in tables:
            t[handle.id] = "hook"
        handle.remove()
        assert not any(tables)
    handle = add_hook(table, "hook")
    del table, t, tables
    handle.remove()  # the table is gone already


def test_a_copied_handle_is_for_the_copied_table():
    table = OrderedDict()
    handle = add_hook(table, "hook")
    table2, handle2 = copy.deepcopy((table, handle))
    handle2.remove()
    assert not table2 and list(table.values()) == ["hook"]


REGISTER = {
    "tensor": lambda t: t.register_hook(print),
    "leaf": lambda t: t.register_post_accumulate_grad_hook(print),
    "node": lambda t: (t * 2).grad_fn.register_hook(print),
    "before a node": lambda t: (t * 2).grad_fn.register_prehook(print),
    "several tensors": lambda t: facula.autograd.graph.register_multi_grad_hook([t], print),
    "module": lambda t: facula.nn.Linear(1, 1).register_forward_hook(print),
    "state": lambda t: facula.nn.Linear(1, 1).register_load_state_dict_post_hook(print),
    "optimiser": lambda t: facula.optim.SGD([t], 0.1).register_step_post_hook(print),
}


@pytest.mark.parametrize("where", REGISTER)
def test_all_hooks_have_handles_of_this_class(where):
    with REGISTER[where](facula.ones(1, requires_grad=True)) as handle:
        assert isinstance(handle, RemovableHandle)
