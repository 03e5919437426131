"""Modes: blocks in which calls go through `__torch_function__`. Expected values are PyTorch's."""

from __future__ import annotations

import operator
import threading

import pytest

import facula as torch
from facula.ops import table
from facula.overrides import BaseTorchFunctionMode, TorchFunctionMode


class Log(TorchFunctionMode):
    def __init__(self):
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


class SubtractInstead(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return torch.sub(*args) if func is torch.add else func(*args, **(kwargs or {}))


def test_modes_see_the_calls_in_their_block_the_outer_ones_what_the_inner_ones_call():
    outer, inner = Log(), Log()
    x = torch.ones(3)
    with outer:
        torch.add(x, 1)
        with inner:
            x.mul(2)
            torch.zeros(3)
            x + 1
    torch.exp(x)
    assert outer.seen == ["add", "mul", "zeros", "add"]
    assert inner.seen == ["mul", "zeros", "add"]


def test_a_mode_can_answer_in_the_place_of_a_function():
    x = torch.ones(2)
    with SubtractInstead(), BaseTorchFunctionMode():
        assert torch.add(x, 1).tolist() == [0, 0]
    assert torch.add(x, 1).tolist() == [2, 2]


def test_one_mode_may_be_entered_twice():
    log = Log()
    with log, log:
        torch.exp(torch.ones(1))
    assert log.seen.count("exp") == 2


def test_an_error_in_a_mode_leaves_the_modes_in_order():
    x = torch.ones(2)
    with pytest.raises(NotImplementedError), TorchFunctionMode():
        torch.add(x, 1)
    log = Log()
    with log:
        with pytest.raises(RuntimeError):
            torch.mm(x, x)
        torch.add(x, 1)
    assert log.seen[-1] == "add" and torch.add(x, 1).tolist() == [2, 2]


def test_a_mode_belongs_to_its_thread():
    log = Log()
    with log:
        other = threading.Thread(target=lambda: torch.exp(torch.ones(1)))
        other.start()
        other.join()
    assert "exp" not in log.seen


def test_a_mode_learns_the_types_that_override():
    class Noted(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return super().__torch_function__(func, types, args, kwargs)

    seen = []

    class Types(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(types)
            return func(*args, **(kwargs or {}))

    noted = torch.ones(2).as_subclass(Noted)
    with Types():
        assert type(torch.mul(noted, 2)) is Noted
    assert seen[0] == (Noted,)


def test_functions_are_handed_over_as_users_have_them():
    """Tables of what a class overrides have `torch.add` and its kin for keys."""

    class Own:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return {torch.add: "add", torch.mean: "mean", torch.cat: "cat"}[func]

    x = torch.ones(1)
    assert torch.add(x, Own()) == "add" and torch.mean(Own()) == "mean"
    assert torch.cat([x, Own()]) == "cat"


class Kept(torch.Tensor):
    """A subclass that leaves all to the default."""


class Below(Kept):
    pass


def kinds(x):
    return [kinds(t) for t in x] if isinstance(x, (tuple, list)) else type(x).__name__


def test_by_default_results_are_of_the_operands_subclass():
    s = torch.arange(6.0).reshape(2, 3).as_subclass(Kept)
    p, b = torch.ones(2, 3), torch.ones(2, 3).as_subclass(Below)
    same = [s + 1, 1 + s, p + s, -s, s == s, s[0], s[s > 1], s.max(), s.T, s.mT, s.detach(), s.data]
    same += [s.clone(), s.double(), s.requires_grad_(False), s.sum(), torch.relu(s), p.T @ s, 2**s]
    same += [torch.cat([p, s]), torch.nn.functional.softmax(s, 1), torch.nn.Linear(3, 2)(s)]
    same += [
        *s.sort(),
        *s.split(1),
        *s,
        torch.zeros_like(s),
        s.clone().add_(1),
        torch.where(s > 1, s, p),
    ]
    assert kinds(same) == ["Kept"] * len(same)
    assert kinds([s + b, b + s, b.sum()]) == ["Below"] * 3
    assert kinds([p.clone().add_(p), s.tolist()[0][0], s.shape]) == ["Tensor", "float", ["int"] * 2]
    assert type(s.max(1)).__name__ == "max"
    assert type(torch.nn.Parameter(s)) is Kept and isinstance(
        torch.nn.Parameter(s), torch.nn.Parameter
    )


def test_results_of_parameters_are_plain_tensors():
    class Own(torch.nn.Parameter):
        pass

    assert type(torch.nn.Parameter(torch.ones(2)) + 1) is torch.Tensor
    assert type(Own(torch.ones(2)) * 2) is torch.Tensor


def test_gradients_flow_through_a_subclass():
    x = torch.ones(3).as_subclass(Kept).requires_grad_()
    for _ in range(3):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0, 6.0]


def test_that_a_subclass_is_defined_leaves_other_calls_followed():
    class Defined(torch.Tensor):
        pass

    from facula.ops import table
    from facula.trace.recorder import TLS, flush

    x, w = torch.ones(2, 3), torch.ones(4, 3)
    for _ in range(3):
        y = torch.nn.functional.linear(x, w)
        flush()
    spans = TLS.r.cur.spans
    assert Defined in table.OVERRIDES and any(key[0].__name__ == "_linear" for key in spans)
    assert type(y) is torch.Tensor


def test_functions_that_can_be_overridden_have_names():
    from facula import overrides

    found = overrides.get_overridable_functions()
    assert torch.cat in found[torch] and torch.Tensor.view in found[torch.Tensor]
    assert overrides.resolve_name(torch.cat) == "torch.cat"
    assert overrides.resolve_name(torch.Tensor.view) == "torch.Tensor.view"
    assert overrides.resolve_name(torch.nn.functional.relu) == "torch.nn.functional.relu"
    assert overrides.resolve_name(len) is None
    assert overrides.is_tensor_method_or_property(torch.Tensor.view)
    assert torch.manual_seed in overrides.get_ignored_functions()


def test_a_wrapped_function_is_offered_to_its_arguments():
    from facula.overrides import wrap_torch_function

    class Odd:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__name__, args[1]

    @wrap_torch_function(lambda a, b: (a,))
    def mine(a, b):
        return b

    assert mine(Odd(), 3) == ("mine", 3) and mine(torch.ones(1), 3) == 3


def test_gradients_are_asked_of_the_subclass():
    seen = []

    class Asking(torch.nn.Parameter):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func == torch.Tensor.grad.__get__:
                seen.append("get")
            elif func == torch.Tensor.grad.__set__:
                seen.append("set")
            return super().__torch_function__(func, types, args, kwargs or {})

    p = Asking(torch.ones(2))
    (p * 3).sum().backward()
    assert type(p.grad) is torch.Tensor and p.grad.tolist() == [3, 3]
    p.grad = None
    assert p.grad is None
    assert seen == ["get", "get", "set", "get"]
    torch.optim.SGD([p], lr=0.1).zero_grad()  # what the class says has the gradient forgets it
    assert "set" in seen[4:]
    del seen[:]
    with torch._C.DisableTorchFunctionSubclass():
        assert p.grad is None
    assert seen == []

    class Answering(Asking):
        grad = 5

    assert Answering(torch.ones(2)).grad == 5


def test_handlers_are_asked_in_order_and_may_be_methods_of_objects():
    seen = []

    class Base:
        def __init__(self, value):
            self.value = value

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.append([t.__name__ for t in types])
            return NotImplemented

    class Derived(Base):
        pass

    class Alone:
        def __init__(self, value):
            self.value = value

        def __torch_function__(self, func, types, args=(), kwargs=None):
            return NotImplemented if func is torch.sub else (self.value, func.__name__, len(args))

    for pair in ((Base(0), Derived(0)), (Derived(0), Base(0))):
        with pytest.raises(TypeError, match=r"failed for 'torch\.add'"):
            torch.add(*pair)
    assert seen == [["Derived", "Base"]] * 4  # each handler once: that of Base is Derived's too
    table._warn_of_a_method.cache_clear()
    with pytest.warns(UserWarning, match="as a plain method is deprecated"):
        assert torch.add(Alone(3), Alone(4)) == (3, "add", 2)
    assert torch.nn.functional.relu(Alone(5)) == (5, "relu", 1)
    del seen[:]
    with pytest.raises(TypeError, match=r"'torch\.sub'.*Alone.*Derived"):
        torch.sub(Alone(0), Derived(0))
    assert seen == [["Alone", "Derived"]]

    def public(*args):
        return torch.overrides.handle_torch_function(public, args, *args)

    with pytest.raises(TypeError, match="public' on types that implement __torch_function__"):
        public(Base(0))
    assert not torch.overrides.has_torch_function((torch.nn.Parameter(torch.ones(1)), 3))


def test_each_function_that_can_be_overridden_has_one_to_test_with():
    from facula import overrides

    found = overrides.get_testing_overrides()
    assert set(found) == {f for fs in overrides.get_overridable_functions().values() for f in fs}
    assert torch.celu in found  # declared in a module that is imported late
    assert found[torch.add](1, 2) == -1 and found[torch.Tensor.T.__get__](1) == -1
    with pytest.raises(TypeError, match="missing a required argument: 'other'"):
        found[torch.add](1)
    assert overrides.resolve_name(torch.Tensor.T.__get__) == "torch.Tensor.T"


IN_PLACE = {
    "zero_": (),
    "fill_": (2.0,),
    "normal_": (),
    "uniform_": (),
    "random_": (3,),
    "bernoulli_": (),
    "exponential_": (),
    "t_": (),
    "unsqueeze_": (0,),
    "resize_": (4,),
    "as_strided_": ((2,), (1,)),
    "index_copy_": (0, torch.tensor([0]), torch.ones(1, 2)),
    "index_put_": ((torch.tensor([0]),), torch.tensor(1.0)),
    "copy_": (torch.ones(2, 2),),
    "abs_": (),
    "polygamma_": (1,),
    "add_": (1,),
}
AUGMENTED = {"iadd": "add_", "imul": "mul_", "itruediv": "div_", "ifloordiv": "floor_divide_"}


def test_a_subclass_is_asked_by_methods_that_write_to_it():
    seen = []

    class Asked(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.append(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    try:
        for name, args in IN_PLACE.items():
            x = torch.ones(2, 2).as_subclass(Asked)
            seen.clear()
            assert getattr(x, name)(*args) is x, name
            assert seen == [getattr(torch.Tensor, name)] and seen[0].__name__ == name
        for name, method in AUGMENTED.items():
            x = y = torch.ones(2, 2).as_subclass(Asked)
            seen.clear()
            x = getattr(operator, name)(x, 2)
            assert x is y and seen == [getattr(torch.Tensor, method)], name
        assert y.as_subclass(torch.Tensor).tolist() == [[0.0, 0.0], [0.0, 0.0]]  # 1 // 2
    finally:
        table.OVERRIDES[:] = [o for o in table.OVERRIDES if o is not Asked]


def test_modes_see_what_writes():
    with (log := Log()):
        x = torch.ones(2, 2)
        x.zero_()
        x.normal_()
        x += 1
        x.copy_(x.clone())
    assert log.seen == ["ones", "zero_", "normal_", "add_", "clone", "copy_"]
