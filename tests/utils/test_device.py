"""Blocks and functions whose new tensors are on another device."""

import facula as torch
from facula.utils import _device


def test_blocks_and_functions_that_make_tensors_elsewhere():
    with _device.DeviceContext("meta"):
        assert torch.ones(2).is_meta

    @_device.set_device("meta")
    def make(n, device=None):
        return torch.zeros(n, device=device)

    assert make(2).is_meta and make.__name__ == "make"
    assert not make(2, device="cpu").is_meta and not torch.ones(2).is_meta


def test_the_functions_that_do_so():
    made = _device._device_constructors()
    assert {torch.ones, torch.tensor, torch.arange, torch.fft.fftfreq} <= made
    assert torch.add not in made
