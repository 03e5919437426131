"""The names of `torch.cpu`, whose streams do nothing; expected values are PyTorch's."""

from __future__ import annotations

import pytest

import facula as torch
from facula.trace.recorder import TLS


def test_there_is_one_device():
    assert torch.cpu.is_available() and torch.cpu.is_initialized()
    assert torch.cpu.device_count() == 1 and torch.cpu.current_device() == "cpu"
    assert torch.cpu.set_device("cpu") is None
    with pytest.raises(AttributeError, match="is not in Facula"):
        torch.cpu.nothing


def test_streams_do_nothing():
    stream, event = torch.cpu.Stream(), torch.cpu.Event()
    assert type(torch.cpu.current_stream()) is torch.cpu.Stream
    with torch.cpu.stream(stream) as given:
        assert given is None
    assert event.query() is True
    done = [event.record(), event.wait(), event.synchronize(), stream.wait_stream(stream)]
    assert [*done, stream.record_event(), stream.wait_event(event)] == [None] * 6


def test_synchronize_computes_what_was_recorded():
    x = torch.ones(2) + 1
    assert TLS.r.handles
    torch.cpu.synchronize()
    assert not TLS.r.handles and x.tolist() == [2, 2]


def test_autocast():
    with torch.cpu.amp.autocast(dtype=torch.bfloat16):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype is torch.bfloat16
