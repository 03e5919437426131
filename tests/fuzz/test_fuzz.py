"""A sample of the random programs and graphs (see README.md)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from fuzz import compare, execute, found, graphs, programs, turns, usual, wide

import facula as torch

STORED = json.loads(
    gzip.decompress((Path(__file__).parents[1] / "data" / "fuzz.json.gz").read_bytes())
)
FOUND = json.loads((Path(__file__).parents[1] / "data" / "fuzz_found.json").read_text())
QUIET = pytest.mark.filterwarnings("ignore")  # what PyTorch warns of, programs do all the time


@pytest.fixture(autouse=True)
def _as_found(monkeypatch):
    """The programs set the gradient mode, and begin with traces that have seen nothing."""
    monkeypatch.setattr(graphs.TLS, "r", graphs.Recorder())
    yield
    torch.set_grad_enabled(True)


def listed(report: dict) -> dict:
    """A report as it comes back from JSON."""
    return json.loads(json.dumps(report))


@QUIET
@pytest.mark.parametrize("part", range(4))
def test_stored_programs_do_what_they_do_in_pytorch(part, tier):
    for stored in STORED[part :: 4 if tier == "interpreted" else 16]:
        program = stored["program"]
        mine = [r if "crash" in r else listed(r) for r in compare.ours(program)]
        found = compare.verdict(program, mine, stored["report"])
        assert found is None, f"program of seed {program['seed']}: {found}"


@QUIET
@pytest.mark.parametrize("name", found.FOUND)
def test_what_once_differed_does_what_it_does_in_pytorch(name, tier):
    assert not FOUND[name]["spoilt"]
    program = found.program(found.FOUND[name])
    mine = [r if "crash" in r else listed(r) for r in compare.ours(program)]
    assert compare.verdict(program, mine, FOUND[name]) is None


@QUIET
@pytest.mark.parametrize("maker", [programs, turns])
def test_fresh_programs_do_the_same_in_both_tiers(maker, seed, monkeypatch):
    for s in range(seed, seed + 20):
        program = maker.make(s)
        reports = []
        for after in (1 << 30, 0):
            monkeypatch.setattr(graphs.interpreter, "COMPILE_AFTER", after)
            reports.append(compare.ours(program, 1)[0])
        assert "crash" not in reports[0], f"program of seed {s}: {reports[0]['crash']}"
        found = compare.verdict(program, reports[1:], {**reports[0], "spoilt": None})
        assert found is None, f"program of seed {s}, compiled: {found}"


@QUIET
@pytest.mark.parametrize("part", range(4))
def test_fresh_graphs_give_the_same_in_both_tiers(part, seed):
    for s in range(seed, seed + 5):
        found = graphs.differ(graphs.make(s))
        assert found is None, f"graph of seed {s}: {found}"


def test_a_difference_is_found():
    """That the comparison can fail: of values, of gradients, of errors and of what a tensor is."""
    program = {
        "seed": 0,
        "bases": ["v0 = torch.tensor([1.0, 2.0], dtype=torch.float64).requires_grad_()"],
        "steps": ["v1 = v0 * 3", "v1.sum().backward()", "v0[5]"],
    }
    (right,) = compare.ours(program, 1)
    assert right["outcomes"] == ["ok", "ok", "ok", "IndexError"]
    assert compare.verdict(program, [right], right) is None
    for wrong in ("v1 = v0 * 4", "v1 = (v0 * 3).detach()", "v1 = (v0 * 3)[None]"):
        other = {**program, "steps": [wrong, *program["steps"][1:]]}
        assert compare.verdict(program, compare.ours(other, 1), right) is not None
    for wrong in ("v0[1]", "v0.grad.zero_()"):
        other = {**program, "steps": [*program["steps"][:2], wrong]}
        assert compare.verdict(program, compare.ours(other, 1), right) is not None


@QUIET
def test_last_bits_that_decide_are_found():
    """`by_rounding` with this framework in the oracle's place."""

    class Oracle:
        run = staticmethod(lambda program: execute.answer(program, torch))

    steps = ["v1 = v0.sum()", "v2 = v1.fmod(1)", "v3 = v1 * 2"]
    base = "v0 = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64)"
    program = {"seed": 0, "bases": [base], "steps": steps}
    theirs = Oracle.run(program)
    assert compare.by_rounding(program, theirs, "v2 values: Facula 0, PyTorch 0", Oracle)
    assert not compare.by_rounding(program, theirs, "v3 values: Facula 0, PyTorch 0", Oracle)
    assert not compare.by_rounding(program, theirs, "v2 strides: Facula 0, PyTorch 0", Oracle)


def test_a_difference_of_tiers_is_found():
    graph = {
        "seed": 0,
        "leaves": ["x0 = leaf([3, 4], 'float32', 1, 'transposed')"],
        "steps": ["v0 = x0.sum(1)"],
        "keep": ["v0"],
        "grads": [],
        "dtypes": ["float32"],
    }
    want, got = graphs.run(graph, False), graphs.run(graph, True)
    assert graphs.difference(graph, want, got) is None
    for wrong in (got["v0"] + 1e-3, got["v0"].double(), got["v0"][None], got["v0"] / 0):
        torch.synchronize()
        assert graphs.difference(graph, want, {"v0": wrong}) is not None


def test_values_that_are_rounding_alone_may_differ_and_others_not():
    """The normalisation of equal numbers has no gradient but what rounding leaves of it."""
    graph = graphs.make(712906)
    assert graphs.differ(graph) is None
    run = graphs.run

    def wrong(g, compiled):
        out = run(g, compiled)
        return {n: t + 0.05 for n, t in out.items()} if compiled else out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "run", wrong)
        assert "off by" in graphs.differ(graph)


def test_the_makers_are_determined_by_the_seed():
    assert programs.make(5) == programs.make(5)
    assert wide.make(5) == wide.make(5)
    assert usual.make(5) == usual.make(5)
    assert turns.make(5) == turns.make(5)
    assert graphs.make(5) == graphs.make(5)


def test_execute_notes_errors_and_goes_on():
    program = {
        "seed": 0,
        "bases": ["v0 = torch.ones(2)"],
        "steps": ["v9 + 1", "out(v0.sum().item())"],
    }
    assert execute.run(program, torch)["outcomes"] == ["ok", "NameError", [2.0]]
