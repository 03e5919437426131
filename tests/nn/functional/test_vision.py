"""Sampling of images: what PyTorch gives."""

import pytest
from nn.stored import agrees

import facula


@agrees
def test_steps_have_a_gradient_of_zero(torch):
    x = torch.arange(24.0).reshape(1, 2, 3, 4).sin().requires_grad_()
    grid = torch.tensor([[[[-0.9, 0.2], [0.0, 0.0], [1.5, -0.4]]]], requires_grad=True)
    out = []
    for padding in ("zeros", "border", "reflection"):
        y = torch.nn.functional.grid_sample(x, grid, "nearest", padding, align_corners=True)
        out += [y, *torch.autograd.grad(y.pow(2).sum(), [x, grid])]
    return out


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_interpolating_to_the_same_size_is_a_copy(mode):
    x = facula.zeros(1, 2, 4, 4)
    facula.nn.functional.interpolate(x, size=4, mode=mode).fill_(4)
    assert x.sum().item() == 0


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
@pytest.mark.parametrize("dtype", [facula.uint8, facula.float32])
def test_what_is_resized_lies_row_by_row(mode, size, dtype):
    for x in (facula.zeros(1, 2, 4, 4, dtype=dtype), facula.zeros(1, 2, 4, 4, dtype=dtype).mT):
        y = facula.nn.functional.interpolate(x, size=size, mode=mode)
        assert y.dtype is dtype and y.is_contiguous()


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_complex_numbers_are_not_resized(mode):
    with pytest.raises(NotImplementedError, match="upsample"):
        facula.nn.functional.interpolate(facula.zeros(1, 1, 2, 2) * 1j, scale_factor=2, mode=mode)


@agrees
def test_bytes_are_resized_by_weights_of_16_bits(torch):
    """Digit by digit as in PyTorch: along the rows first, rounded in between."""
    x = torch.arange(70).mul(7919).remainder(251).reshape(1, 2, 5, 7).to(torch.uint8)
    out = {}
    for mode in ("bilinear", "bicubic"):
        for size in ((3, 4), (9, 5)):
            for corners in (False, True):
                for antialias in (False, True):
                    out[f"{mode} {size} {corners} {antialias}"] = torch.nn.functional.interpolate(
                        x, size=size, mode=mode, align_corners=corners, antialias=antialias
                    )
    return out


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("batch, channels", [(0, 2), (2, 0), (0, 0)])
def test_samples_of_nothing(batch, channels, mode):
    x = facula.ones(batch, channels, 3, 2, requires_grad=True)
    grid = facula.zeros(batch, 4, 5, 2, requires_grad=True)
    out = facula.nn.functional.grid_sample(x, grid, mode, align_corners=False)
    out.sum().backward()
    assert out.shape == (batch, channels, 4, 5) and x.grad.shape == x.shape
    assert not grid.grad.any()
