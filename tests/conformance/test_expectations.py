"""The machinery around the list: reading, measuring, comparing, updating."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conformance import expectations
from conformance.expectations import Entry, differences, measure, read_list, settle, updated


def case(op, feat="fwd", ok=True, cat="value", msg="differs", grad=None, n=0):
    out = {"id": f"{op}/float32/{feat}/{n}", "feat": feat, "dtype": "float32", "ok": ok}
    if not ok:
        out.update(cat=cat, msg=msg)
    if grad is not None:
        out["grad"] = grad
        if ok and not grad:
            out.update(gcat="grad", gmsg="off by one")
    return out


def result(**ops):
    """A checker's result of cases by operation, with the counts that the checker would give."""
    out = {"ops": {}, "cases": {}}
    for op, cases in ops.items():
        forward = [c for c in cases if c["feat"] == "fwd"]
        grads = [c for c in forward if "grad" in c]
        errors = [c for c in cases if c["feat"] == "error"]
        right = any(c["ok"] for c in forward)
        side = {}
        for c in cases:
            if c["feat"] not in ("fwd", "error"):
                count = side.setdefault(c["feat"], [0, 0])
                count[0] += c["ok"]
                count[1] += 1
        out["cases"][op] = cases
        out["ops"][op] = {
            "fwd": [sum(c["ok"] for c in forward), len(forward)],
            "grad": [sum(c["grad"] for c in grads), len(grads)],
            "error": [sum(c["ok"] for c in errors) if right else 0, len(errors)],
            "side": side,
        }
    return out


def entries(*lines):
    return read_list("\n".join(line.replace(" | ", "\t") for line in lines))


def test_measure():
    r = result(
        good=[case("good", grad=True), case("good", "error"), case("good", "out")],
        wrong=[case("wrong", n=0), case("wrong", ok=False, msg="3 of\n 4\tdiffer", n=1)],
        slope=[case("slope", grad=True), case("slope", grad=False)],
        lost=[
            case("lost", ok=False, cat="missing", msg="no <f at 0x7f12ab>", grad=False),
            case("lost", "error"),
            case("lost", "method", ok=False),
        ],
        forms=[
            case("forms"),
            case("forms", "out", ok=False, cat="alias"),
            case("forms", "inplace"),
        ],
        paths=[case("paths", ok=False, msg="from 'm' (/home/me/facula/a.py) 1 / 2, a/b")],
        mute=[case("mute", ok=False, msg="")],
        long=[case("long", ok=False, msg="x" * 1000)],
    )
    found = measure(r)
    assert set(found) == {"wrong", "slope", "lost", "forms", "paths", "mute", "long"}
    assert str(found["wrong"]) == "wrong\tforward\tvalue: 3 of 4 differ"
    assert str(found["slope"]) == "slope\tgrad\tgrad: off by one"
    assert str(found["lost"]) == "lost\tforward,grad,errors,method\tmissing: no <f at 0x...>"
    assert str(found["forms"]) == "forms\tout\talias: differs"
    assert found["paths"].reason == "value: from 'm' (a.py) 1 / 2, a/b"
    assert found["mute"].reason == "value: no message"
    assert len(found["long"].reason) < 160
    assert read_list(expectations.write_list(found.values())) == found


def test_an_operation_that_has_only_error_cases():
    r = result(f=[case("f", ok=False), case("f", "error")])
    r["cases"]["f"] = [c for c in r["cases"]["f"] if c["feat"] == "error"]
    r["ops"]["f"]["fwd"] = [0, 0]
    assert "no forward case passes" in measure(r)["f"].reason


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("abs forward value: x", "line 1: expected operation, aspects and reason"),
        ("# fine\nabs\tforward", "line 2: expected operation, aspects and reason"),
        ("abs\tforward\t ", "line 1: expected operation"),
        ("abs\tforwards\tx", "'forwards' is none of forward, grad"),
        ("abs\tforward\tx\nabs\tgrad\ty", "line 2: 'abs' is listed twice"),
    ],
)
def test_lines_that_make_no_sense(line, words):
    with pytest.raises(ValueError, match="not_passing") as error:
        read_list(line)
    assert words in str(error.value)


def test_differences():
    listed = entries(
        "same | forward,grad | value: old numbers",
        "fixed | forward,out | missing: gone",
        "better | forward,grad | value: x",
        "worse | out | by hand",
        "edge | forward | timeout: case took too long",
        "unknown | forward | value: x",
    )
    measured = entries(
        "same | forward,grad | value: new numbers",
        "better | grad | grad: y",
        "worse | forward,out | value: z",
        "new | forward | missing: w",
    )
    ops = {"same", "fixed", "better", "worse", "edge", "new", "fine"}
    assert differences(listed, measured, ops) == [
        "better: forward passes now",
        "-better\tforward,grad\tvalue: x",
        "+better\tgrad\tgrad: y",
        "fixed: forward, out passes now",
        "-fixed\tforward,out\tmissing: gone",
        "new: forward does not pass",
        "+new\tforward\tmissing: w",
        "unknown: is not in the data",
        "-unknown\tforward\tvalue: x",
        "worse: forward does not pass",
        "-worse\tout\tby hand",
        "+worse\tforward,out\tby hand",
    ]
    assert differences(listed, listed, {*listed}) == []


def test_the_lines_of_a_difference_are_the_update():
    listed = entries("a | forward | value: x", "b | grad | words", "c | out | alias: y")
    measured = entries("a | forward,grad | shape: z", "b | grad | grad: n", "d | forward | grad: m")
    new = {str(e) for e in updated(listed, measured).values()}
    lines = differences(listed, measured, "abcd")
    kept = {str(e) for e in listed.values()} - {x[1:] for x in lines if x[0] == "-"}
    assert kept | {x[1:] for x in lines if x[0] == "+"} == new


def test_updated_keeps_what_people_wrote():
    listed = entries(
        "hand | forward | needs the window functions",
        "number | forward | value: off by 3.1",
        "kind | forward | missing: no such name",
        "more | forward | value: off by 1",
    )
    measured = entries(
        "hand | grad | grad: x",
        "number | forward | value: off by 3.2",
        "kind | forward | value: y",
        "more | forward,grad | value: off by 2",
    )
    assert {op: e.reason for op, e in updated(listed, measured).items()} == {
        "hand": "needs the window functions",
        "number": "value: off by 3.1",
        "kind": "value: y",
        "more": "value: off by 2",
    }


def test_settle_runs_again_what_a_busy_machine_may_have_failed():
    slow = {"ok": False, "cat": "timeout", "msg": "case took too long"}
    first = result(
        late=[case("late", **slow)],
        died=[case("died", ok=False, cat="crash")],
        stuck=[case("stuck", **slow)],
        wrong=[case("wrong", ok=False)],
        known=[case("known", **slow)],
        edge=[case("edge")],
    )
    listed = entries("known | forward | too slow for now", "edge | forward | timeout: x")
    runs = []

    def rerun(ops):
        runs.append(sorted(ops))
        return result(
            late=[case("late")],
            died=[case("died", ok=len(runs) == 2, cat="crash")],
            stuck=[case("stuck", **slow)],
        )

    settled = settle(first, listed, rerun)
    assert runs == [["died", "late", "stuck"], ["died", "stuck"]]
    assert set(measure(settled)) == {"stuck", "wrong", "known"}


def test_aspects_are_in_their_order():
    assert entries("x | grad,forward | y")["x"] == Entry("x", ("forward", "grad"), "y")


# ----------------------------------------------------------------------------------------------
# the checker itself, on a framework of few lines
# ----------------------------------------------------------------------------------------------
FRAMEWORK = """
import numpy as np

class Tensor:
    def __init__(self, a): self.a = np.asarray(a)
    dtype = property(lambda self: self.a.dtype.name)
    shape = property(lambda self: self.a.shape)
    def numpy(self): return self.a
    def clone(self): return Tensor(self.a.copy())
    def bitwise_not(self): return Tensor(~self.a)

from_numpy = Tensor
def bitwise_not(x): return x.bitwise_not()
def tril_indices(r, c, k=0, **kw): return Tensor(np.stack(np.tril_indices(r, k, c)))
bool, int64 = "bool", "int64"
"""


@pytest.fixture
def framework(tmp_path):
    (tmp_path / "few_lines.py").write_text(FRAMEWORK)
    return tmp_path


def test_the_checker_runs_and_its_result_is_understood(framework):
    ops = ["bitwise_not", "nn.ZeroPad2d", "tril_indices", "triu_indices"]
    out = framework / "out.json"
    r = expectations.run_checker("few_lines", out, folder=framework, only=ops, procs=1)
    assert sorted(r["ops"]) == ops
    found = measure(r)
    assert "tril_indices" not in found
    assert found["bitwise_not"].aspects == ("inplace", "operator", "out")
    assert found["triu_indices"].aspects == ("forward",)
    assert found["triu_indices"].reason.startswith("missing: 'triu_indices' not found")
    assert found["nn.ZeroPad2d"].aspects == ("forward", "grad")
    lines = expectations.summary(r).splitlines()
    assert lines[0] == "conformance: forward 2/4 operations, gradients 0/1"


def test_a_module_that_is_not_there(framework):
    out = framework / "out.json"
    with pytest.raises(RuntimeError, match="cannot import module 'no_lines'"):
        expectations.run_checker("no_lines", out, folder=framework, only=["tril_indices"])


def test_update_rewrites_the_list(framework):
    path = framework / "list.txt"
    path.write_text("tril_indices\tforward\tvalue: long mended\nabs\tforward\tnot looked at\n")
    script = expectations.HERE / "update.py"
    command = [sys.executable, str(script), "--module", "few_lines", "--list", str(path)]
    done = subprocess.run(
        [*command, "--only", "tril_indices", "--only", "triu_indices"],
        cwd=framework,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert text.startswith(expectations.HEADER)
    assert sorted(read_list(text)) == ["abs", "triu_indices"]
    assert "-tril_indices\tforward\tvalue: long mended" in done.stdout
    assert "+triu_indices\tforward\tmissing: " in done.stdout
