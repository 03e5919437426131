"""Modules as tables."""

from __future__ import annotations

import re
import warnings

import pytest

import facula as torch
from facula import nn
from facula.notebook import html, summary
from facula.trace.recorder import TLS


@pytest.fixture
def model():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 10))


def test_the_table(model):
    *rows, total = repr(summary(model)).splitlines()
    norm = "weight [4], bias [4], running_mean [4], running_var [4], num_batches_tracked []"
    assert [re.split(r" {2,}", row.strip()) for row in rows] == [
        ["module", "its tensors", "parameters", "memory"],
        ["Sequential", "0", "0 B"],
        ["0: Conv2d", "weight [4, 1, 3, 3], bias [4]", "40", "160 B"],
        ["1: BatchNorm2d", norm, "8", "72 B"],
        ["2: Flatten", "0", "0 B"],
        ["3: Linear", "weight [10, 16], bias [10]", "170", "680 B"],
    ]
    assert total == "218 parameters; 912 B with buffers"
    columns = [row.index(cell) for row, cell in zip(rows, ["its", "0", "weight", "weight"])]
    assert columns[0] == columns[2] == columns[3]


def test_a_module_shows_itself_in_a_notebook(model):
    shown = model._repr_html_()
    assert "<td" in shown and "1: BatchNorm2d" in shown and "weight [10, 16], bias [10]" in shown
    assert "218 parameters; 912 B with buffers" in shown
    assert repr(model).startswith("Sequential(\n")


def test_results_have_shapes(model):
    lines = repr(summary(model, torch.ones(5, 1, 4, 4))).splitlines()
    assert [line.split("]")[-2].split("[")[-1] for line in lines[1:-1]] == [
        *("5, 10", "5, 4, 2, 2", "5, 4, 2, 2", "5, 16", "5, 10")
    ]


def test_the_shapes_cost_no_computing(model):
    x = torch.ones(5, 1, 4, 4)
    torch.synchronize()
    before = TLS.r.frame
    summary(model, x)
    assert TLS.r.frame == before  # nothing was run


def test_a_module_without_values():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(10**5, 10**5), nn.BatchNorm1d(10**5))
    text = repr(summary(model, torch.empty(4, 10**5, device="meta")))
    assert "[4, 100000]" in text and text.endswith("10,000,300,000 parameters; 40 GB with buffers")


def test_calling_it_changes_nothing():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout())
    state = torch.get_rng_state()
    summary(model, torch.ones(2, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert model[1].num_batches_tracked.item() == 0
    assert model[1].running_mean.tolist() == [0, 0, 0]
    assert model.training and not any(m._forward_hooks for m in model.modules())


def test_a_call_that_fails_leaves_no_hooks(model):
    with pytest.raises(RuntimeError):
        summary(model, torch.ones(3, 7))
    assert not any(m._forward_hooks for m in model.modules())


def test_shared_parameters_count_once():
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    text = repr(summary(nn.Sequential(first, second, first)))
    assert text.count("weight [3, 3] (shared)") == 2
    assert text.endswith("9 parameters; 36 B with buffers")


def test_what_is_held_fixed_is_named():
    model = nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 1))
    model[0].requires_grad_(False)
    assert repr(summary(model)).endswith("6 parameters, 4 of them held fixed; 24 B with buffers")


def test_modules_called_often_and_results_of_other_kinds():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x, *, times):
            for _ in range(times):
                x = self.layer(x)
            return {"x": x, "all": (x, [x[0]], None)}

    text = repr(summary(Net(), torch.ones(3, 2), times=4))
    assert "[3, 2] 4 times" in text
    assert "{x: [3, 2], all: ([3, 2], ([2]), NoneType)}" in text


def test_lazy_modules():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(nn.LazyLinear(3))
    assert "weight: not known yet, bias: not known yet" in model._repr_html_()
    assert "weight [3, 5]" in repr(summary(model, torch.ones(2, 5)))


def test_long_tables_are_cut_and_names_are_escaped():
    model = nn.Module()
    for i in range(html.MOST_ROWS + 10):
        model.add_module(f"<i>{i}", nn.Identity())
    shown = model._repr_html_()
    assert "... and 11 more" in shown and "<i>" not in shown and "&lt;i&gt;3: Identity" in shown
    assert shown.count("<tr>") == html.MOST_ROWS + 2


def test_a_module_within_itself_ends():
    model = nn.Sequential(nn.ReLU())
    model._modules["again"] = model
    assert repr(summary(model)).count("Sequential") == 2


def test_other_things_are_refused():
    with pytest.raises(TypeError, match=r"summary\(\): expected a torch.nn.Module, got int"):
        summary(3)
