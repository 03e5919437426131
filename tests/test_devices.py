"""Devices: how they are named."""

import pytest

import facula as torch


@pytest.mark.parametrize(
    "args, named, text",
    [
        (("cpu",), {}, "cpu"),
        (("cuda", 1), {}, "cuda:1"),
        ((), {"type": "cuda", "index": 1}, "cuda:1"),
        ((), {"device": "cpu"}, "cpu"),
        ((), {"device": torch.device("cuda:1")}, "cuda:1"),
    ],
)
def test_a_device_is_named_in_several_ways(args, named, text):
    assert str(torch.device(*args, **named)) == text


@pytest.mark.parametrize(
    "args, named",
    [
        (("cuda",), {"device": 1}),
        ((), {"device": "cpu", "type": "cpu"}),
        ((), {"device": "cuda", "index": 1}),
        ((), {"device": None}),
        (("cpu",), {"place": 1}),
        ((), {}),
    ],
)
def test_other_arguments_are_refused(args, named):
    with pytest.raises(TypeError, match="device"):
        torch.device(*args, **named)
