"""Checks of operators of libraries: what is found."""

import pytest
from test_library import _operators  # noqa: F401

import facula
from facula import library
from facula.operator_checks import OpCheckError


def sine(name="check::sine"):
    @library.custom_op(name, mutates_args=())
    def sine(x: facula.Tensor) -> facula.Tensor:
        return x.sin()

    sine.register_fake(lambda x: facula.empty_like(x))
    sine.register_autograd(
        lambda ctx, g: g * ctx.saved_tensors[0].cos(),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    )
    return sine


def failures(op, *args):
    found = library.opcheck(op, args, raise_exception=False)
    return {k: str(v) for k, v in found.items() if v != "SUCCESS"}


def test_what_is_right():
    x = facula.rand(3, requires_grad=True)
    assert not failures(sine(), x)
    assert list(library.opcheck(sine(), (x,), test_utils="test_schema")) == ["test_schema"]
    assert x.grad is None


def test_what_is_declared_to_be_written_to():
    @library.custom_op("check::add", mutates_args={"x"})
    def add(x: facula.Tensor, n: int) -> None:
        x.add_(n)

    assert not failures(add, facula.rand(3), 2)  # it gives nothing: no other form is needed
    add.register_fake(lambda x, n: None)
    assert not failures(add, facula.rand(3), 2)


def test_what_is_wrong():
    @library.custom_op("check::wrong", mutates_args=())
    def wrong(x: facula.Tensor) -> facula.Tensor:
        x.add_(1)
        return x * facula.rand(3)

    found = failures(wrong, facula.rand(3))
    assert "argument x is not declared" in found["test_schema"]
    assert "no fake implementation" in found["test_faketensor"]
    assert "two runs" in found["test_aot_dispatch_dynamic"]
    wrong.register_fake(lambda x: x.new_empty(4))
    assert "shape of result 0" in failures(wrong, facula.rand(3))["test_faketensor"]
    assert "no autograd formula" in failures(wrong, facula.rand(3, requires_grad=True)).get(
        "test_autograd_registration", ""
    )
    with pytest.raises(OpCheckError, match="argument x"):
        library.opcheck(wrong, (facula.rand(3),))


def test_what_can_not_be_checked():
    with pytest.raises(TypeError, match="must be an operator, not function"):
        library.opcheck(lambda x: x, ())
    with pytest.raises(ValueError, match="test_utils must be of"):
        library.opcheck(sine(), (), test_utils="test_nothing")
