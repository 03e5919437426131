"""A failed operation leaves every tensor as it was, and nothing pending."""

import pytest

import facula as torch


def fail_late():
    """A matrix that has no Cholesky factor: only its values say so."""
    return torch.tensor([[1.0, 2.0], [2.0, 1.0]])


def test_the_error_names_the_operation_and_its_operands():
    c = torch.linalg.cholesky_ex(fail_late())  # does not raise
    assert c.info.item() != 0
    with pytest.raises(torch.linalg.LinAlgError) as caught:
        torch.linalg.cholesky(fail_late()).sum().item()
    assert "cholesky" in str(caught.value) + "".join(getattr(caught.value, "__notes__", []))


def failing(x):
    """Record an operation that fails when it is computed."""
    from facula.ops.registry import PRIMITIVES, Op
    from facula.trace.recorder import record

    def body(p, s, a):
        raise IndexError("index 7 is out of bounds")

    op = PRIMITIVES.get("failing_for_tests") or Op(
        "failing_for_tests", lambda p, st, a: (a.shape, a.dtype, None, 0), body, (lambda g: g,)
    )
    return record(op, (x,))


@pytest.fixture(autouse=True)
def _clean():
    from facula.ops.registry import PRIMITIVES

    yield
    PRIMITIVES.pop("failing_for_tests", None)


def test_what_does_not_depend_on_it_is_computed():
    x = torch.arange(4.0)
    before = x * 2
    bad = failing(x)
    after = before + 1
    with pytest.raises(IndexError, match="index 7") as caught:
        bad.sum().item()
    assert "failing_for_tests of torch.float32 [4]" in caught.value.__notes__[0]
    assert before.tolist() == [0, 2, 4, 6]
    assert after.tolist() == [1, 3, 5, 7]


def test_a_result_without_a_value_says_so_each_time():
    bad = failing(torch.arange(4.0))
    more = bad * 2
    with pytest.raises(IndexError):
        bad.tolist()
    for t in (bad, more):
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"has no value.*index 7"):
                t.tolist()
            with pytest.raises(RuntimeError, match=r"has no value.*index 7"):
                (t + 1).tolist()
    assert torch.ones(2).tolist() == [1, 1]


def test_what_it_was_to_overwrite_keeps_its_value():
    x = torch.arange(4.0)
    v = x[1:3]
    v.add_(failing(torch.ones(2)))
    with pytest.raises(IndexError):
        x.tolist()
    assert x.tolist() == [0, 1, 2, 3]
    assert v.tolist() == [1, 2]
    x.mul_(2)
    assert v.tolist() == [2, 4]
    y = torch.arange(3.0)
    y += 1
    y += failing(torch.ones(3))
    with pytest.raises(IndexError):
        y.tolist()
    assert y.tolist() == [1, 2, 3]


def test_exported_memory_keeps_its_value():
    y = torch.arange(3.0)
    shared = y.numpy()
    with pytest.raises(IndexError):
        y += failing(torch.ones(3))
    assert y.tolist() == [0, 1, 2]
    y += 1
    assert shared.tolist() == [1, 2, 3]


def test_views_of_a_failed_result():
    bad = failing(torch.arange(4.0))
    v = bad[1:]
    with pytest.raises(IndexError):
        v.tolist()
    for t in (v, bad):
        with pytest.raises(RuntimeError, match="has no value"):
            t.tolist()


def test_training_goes_on():
    w = torch.ones(3, requires_grad=True)
    for i in range(4):
        loss = (w * w).sum()
        if i == 1:
            with pytest.raises(IndexError):
                failing(loss).item()
        loss.backward()
        with torch.no_grad():
            w -= 0.25 * w.grad
            w.grad = None
    assert w.tolist() == [0.0625] * 3


def test_a_failure_while_compiled_is_reported_and_interpreted(monkeypatch):
    from facula.interpreter import program

    class Broken:
        skip = untried = 0

        def run(self, inputs, scalars, waits=None):
            raise AttributeError("a defect of the compiler")

    monkeypatch.setattr(program, "_warned", False)
    monkeypatch.setattr(program.Program, "choose", lambda self, r: Broken())
    x = torch.arange(3.0)
    y = x * 2
    with pytest.warns(RuntimeWarning, match="a defect of the compiler"):
        assert y.tolist() == [0, 2, 4]
