"""What `torch._utils` has that programs import."""

from __future__ import annotations

import pytest
from nn.stored import agrees

import facula


@agrees
def test_tensors_are_flattened_and_taken_apart_again(torch):
    from importlib import import_module

    utils = import_module(torch.__name__ + "._utils")
    a, b = torch.arange(6.0).reshape(2, 3), torch.tensor([7.0, 8.0], requires_grad=True)
    flat = utils._flatten_dense_tensors([a, b, a.t()])
    first, second, third = utils._unflatten_dense_tensors(flat, [a, b, a.t()])
    (second * second).sum().backward()
    one = utils._flatten_dense_tensors((a,))
    one[0] = -1
    return [flat, first, second, third, b.grad, a]


@agrees
def test_tensors_are_grouped_by_type_and_size(torch):
    from importlib import import_module

    utils = import_module(torch.__name__ + "._utils")
    mixed = [torch.ones(3), torch.ones(2, dtype=torch.int64), torch.zeros(4), torch.ones(1)]
    groups = list(utils._take_tensors(mixed, 28))
    back = utils._reorder_tensors_as([t for g in groups for t in g], mixed)
    return [[list(t.shape) for t in g] for g in groups] + [[list(t.shape) for t in back]]


@agrees
def test_devices_and_sizes(torch):
    from importlib import import_module

    utils = import_module(torch.__name__ + "._utils")
    sizes = [utils._element_size(t) for t in (torch.bool, torch.float16, torch.complex64)]
    where = [utils._get_device_index("cpu", allow_cpu=True), utils._get_device_index(3)]
    return sizes + where + [utils._get_device_index(torch.device("cuda", 1))]


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda u: u._get_device_index("cpu"), ValueError, "non cpu"),
        (lambda u: u._get_device_index(None), ValueError, "specified index"),
        (lambda u: u._get_device_module("abacus"), RuntimeError, "abacus"),
        (lambda u: u._element_size(4), RuntimeError, "torch.dtype"),
    ],
)
def test_what_is_refused(call, error, said):
    with pytest.raises(error, match=said):
        call(facula._utils)


@pytest.mark.parametrize("kind, raised", [(KeyError, KeyError), (UnicodeDecodeError, RuntimeError)])
def test_an_exception_of_another_thread_is_raised_here(kind, raised):
    try:
        raise kind(*(("utf8", b"", 0, 1, "x") if kind is UnicodeDecodeError else ("gone",)))
    except Exception:
        wrapped = facula._utils.ExceptionWrapper(where="in worker 3")
    with pytest.raises(raised, match="in worker 3"):
        wrapped.reraise()
