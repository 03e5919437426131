"""Convolutions: how far they reach."""

import pytest
from nn.stored import agrees

import facula as torch


@agrees
def test_same_of_a_batch_of_one_with_an_even_kernel(torch):
    F = torch.nn.functional
    x = torch.arange(60.0).sin().reshape(1, 3, 4, 5)
    w = torch.arange(36.0).cos().reshape(2, 3, 2, 3)
    return {
        "batch of one": F.conv2d(x, w, padding="same", dilation=3),
        "no batch": F.conv2d(x[0], w, padding="same", dilation=3),
        "one dimension": F.conv1d(x[:, :, 0], w[..., 0], padding="same"),
    }


def test_sizes_of_kernels_that_do_not_fit_are_named():
    text = r"padded input size per channel: \(1 x 3\). Kernel size: \(10 x 9\)"
    with pytest.raises(RuntimeError, match=text):
        torch.nn.functional.conv2d(torch.ones(1, 1, 1, 3), torch.ones(1, 1, 10, 5), dilation=(1, 2))
