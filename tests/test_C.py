"""What libraries take from PyTorch's C++ module."""

import pytest

import facula as torch
from facula import _C


class Noted(torch.Tensor):
    calls: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.calls.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs)


def test_subclasses_can_be_left_out():
    t = torch.ones(3).as_subclass(Noted)
    Noted.calls.clear()
    assert type(t + 1) is Noted and len(Noted.calls) == 1
    with torch.DisableTorchFunctionSubclass():
        assert type(t + 1) is torch.Tensor and len(Noted.calls) == 1
        with _C.DisableTorchFunction():
            assert torch.add(t, 1).tolist() == [2, 2, 2]
        assert len(Noted.calls) == 1
    assert type(torch.mul(t, 2)) is Noted and len(Noted.calls) == 2


def test_a_subclass_can_override_nothing():
    class Plain(torch.Tensor):
        __torch_function__ = _C._disabled_torch_function_impl

    t = torch.ones(3).as_subclass(Plain)
    assert type(t) is Plain and type(t + 1) is torch.Tensor and (t + 1).tolist() == [2, 2, 2]


def test_names_for_annotations_and_questions():
    assert _C._TensorMeta is type(torch.Tensor)
    with pytest.raises(NotImplementedError, match="PyTorchFileReader"):
        torch.PyTorchFileReader("file")
    with pytest.raises(NotImplementedError, match="ScriptMethod"):
        _C.ScriptMethod()
    assert torch.TensorType is _C.TensorType and repr(torch.TensorType.get()) == "Tensor"


def test_who_is_calling():
    assert not _C._are_functorch_transforms_active() and not _C._is_torch_function_mode_enabled()
    torch.vmap(lambda t: [_C._are_functorch_transforms_active() or 1 / 0, t][1])(torch.ones(2))
    x = torch.ones(4)
    assert _C._is_alias_of(x, x[1:]) and not _C._is_alias_of(x, x.clone())


def test_the_kind_of_the_default_device():
    assert _C._get_default_device() == torch.get_default_device().type


def test_batches_are_known():
    seen = []

    def f(t):
        seen.append(_C._functorch.is_batchedtensor(t))
        seen.append(_C._functorch.maybe_get_level(t) > 0 and _C._functorch.maybe_get_bdim(t))
        seen.append(_C._functorch.get_unwrapped(t).tolist())
        return t * 2

    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.vmap(f, in_dims=1)(x).tolist() == [[2, 6], [4, 8]]
    assert seen == [True, 0, [[1, 3], [2, 4]]]
    assert not _C._functorch.is_batchedtensor(x) and _C._functorch.get_unwrapped(x) is x
    assert _C._functorch.maybe_get_level(x) == _C._functorch.maybe_get_bdim(x) == -1


@pytest.mark.parametrize(
    "args, kwargs, expected",
    [
        (("cpu",), {}, (torch.device("cpu"), None, False, None)),
        ((torch.float16,), {}, (None, torch.float16, False, None)),
        (
            ("cpu", torch.float64, True),
            {"memory_format": torch.channels_last},
            (torch.device("cpu"), torch.float64, True, torch.channels_last),
        ),
    ],
)
def test_arguments_of_to(args, kwargs, expected):
    assert _C._nn._parse_to(*args, **kwargs) == expected


def test_a_missing_part_is_named():
    with pytest.raises(AttributeError, match=r"torch\._C\.no_such_name is not in Facula"):
        _C.no_such_name


def test_settings_of_scripts_are_noted():
    for set_it in (_C._jit_set_profiling_executor, _C._jit_set_profiling_mode):
        assert set_it(False) is True
        assert set_it(True) is False
    assert _C._jit_override_can_fuse_on_gpu(True) is None
