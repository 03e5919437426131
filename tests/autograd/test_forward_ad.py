"""Dual tensors, against PyTorch's; and batches of gradients."""

from __future__ import annotations

import pytest
from evaluated import Stored

import facula
from facula.autograd import forward_ad as forward

STORED = Stored("autograd_gradcheck")


@STORED.cases("forward")
def test_tangents_and_errors_are_those_of_pytorch(text, expected):
    said = STORED.check(text, expected)
    assert said == expected.get("message", "")


def test_a_level_restores_what_it_found():
    x, v = facula.tensor([1.0, 2.0]), facula.tensor([3.0, -1.0])
    with facula.no_grad():
        with forward.dual_level():
            primal, tangent = forward.unpack_dual(forward.make_dual(x, v) ** 2)
        assert not facula.is_grad_enabled()
    assert primal.tolist() == [1, 4] and tangent.tolist() == [6, -4]
    assert not primal.requires_grad and not tangent.requires_grad
    with pytest.raises(ZeroDivisionError), forward.dual_level():
        1 / 0
    assert forward.unpack_dual(x).tangent is None


def test_recording_is_switched_off_by_the_package_alone():
    norm = facula.nn.BatchNorm1d(3)
    x = facula.randn(4, 3)
    with forward.dual_level():
        out = norm(forward.make_dual(x, facula.ones(4, 3)))
        tangent = forward.unpack_dual(out).tangent
    assert not norm.running_mean.requires_grad
    facula.testing.assert_close(tangent, facula.zeros(4, 3), rtol=0, atol=1e-5)

    @facula.no_grad()
    def square(t):
        return t * t

    with forward.dual_level():
        dual = forward.make_dual(x, facula.ones(4, 3))
        with facula.set_grad_enabled(False):
            cube = square(dual) * dual
        with facula.inference_mode():
            more = dual.exp()
        facula.testing.assert_close(forward.unpack_dual(cube).tangent, 3 * x * x)
        facula.testing.assert_close(forward.unpack_dual(more).tangent, x.exp())


def test_tangents_can_be_differentiated():
    p = facula.tensor([0.5, 2.0], requires_grad=True)
    x, v = facula.tensor([1.0, 2.0]), facula.tensor([3.0, -1.0], requires_grad=True)
    with forward.dual_level():
        primal, tangent = forward.unpack_dual(p * forward.make_dual(x, v) ** 2)
    (primal.sum() + tangent.sum()).backward()
    assert p.grad.tolist() == [1 + 6, 4 - 4]
    assert v.grad.tolist() == [1, 8]


def test_backward_inside_a_level_gives_dual_gradients():
    x = facula.tensor([1.0, 2.0], requires_grad=True)
    v = facula.tensor([1.0, -1.0])
    for _ in range(3):  # the usual backward pass is replayed, which a level must not do
        x.grad = None
        (x**3).sum().backward()
        with forward.dual_level():
            x.grad = None
            (forward.make_dual(x, v) ** 3).sum().backward()
            primal, tangent = forward.unpack_dual(x.grad)
        assert primal.tolist() == [3, 12] and tangent.tolist() == [6, -12]


def test_a_level_around_a_vmap_and_a_vmap_around_a_level():
    x = facula.tensor([[1.0, 2.0], [3.0, 4.0]])
    v = facula.tensor([[1.0, 0.0], [0.0, 1.0]])

    def push(t, d):
        with forward.dual_level():
            return forward.unpack_dual(forward.make_dual(t, d).prod()).tangent

    assert facula.vmap(push)(x, v).tolist() == [2, 3]
    with forward.dual_level():
        out = facula.vmap(lambda t: t.prod())(forward.make_dual(x, v))
        assert forward.unpack_dual(out).tangent.tolist() == [2, 3]


@pytest.mark.parametrize("write", [lambda d: d.mul_(2), lambda d: d.__setitem__(0, 5.0)])
def test_a_dual_tensor_that_was_written_to_and_has_a_history_is_refused(write):
    z = facula.tensor([1.0, 2.0], requires_grad=True)
    with forward.dual_level():
        dual = forward.make_dual(z * 1, facula.tensor([3.0, 4.0]))
        copied = dual.clone()
        copied.mul_(2)
        assert forward.unpack_dual(copied).tangent.tolist() == [6, 8]
        write(dual)
        for t in (dual, dual * 1):
            with pytest.raises(NotImplementedError, match="written to in place"):
                forward.unpack_dual(t)
    with pytest.raises(NotImplementedError, match=r"jvp.* was written to in place"):
        facula.func.jvp(write, (z * 1,), (z,))
    with pytest.raises(NotImplementedError, match=r"jvp.* was written to in place"):
        facula.func.jvp(lambda t: facula.func.jvp(write, (t,), (t,)), (z.detach(),), (z.detach(),))


def test_what_was_computed_of_a_dual_tensor_before_a_write_has_its_tangent():
    with forward.dual_level():
        dual = forward.make_dual(facula.tensor([1.0, 2.0]), facula.tensor([3.0, 4.0]))
        before, view = dual * 2, dual[1:]
        dual[0] = 5.0
        for t, tangent in ((dual, [0, 4]), (before, [6, 8]), (view, [4])):
            assert forward.unpack_dual(t).tangent.tolist() == tangent
