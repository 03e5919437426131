"""The names of `facula.special`."""

from __future__ import annotations

import facula as torch


def test_every_name_is_a_function_and_works_on_a_tensor():
    two = {"gammainc", "gammaincc", "igamma", "igammac", "xlog1py", "xlogy", "zeta"}
    other = {"polygamma", "multigammaln", "softmax", "log_softmax", "logsumexp"}
    x = torch.tensor([0.5])
    for name in torch.special.__all__:
        f = getattr(torch.special, name)
        if name in two or "polynomial" in name:
            out = f(x, x)
        elif name in other:
            out = f(1, x) if name == "polygamma" else f(x + 1, 1 if name == "multigammaln" else 0)
        else:
            out = f(x)
        assert out.dtype is torch.float32, name


def test_softmax_and_its_kin_are_the_functions_of_the_package():
    x = torch.tensor([1.0, 2.0])
    assert torch.special.softmax(x, 0).tolist() == x.softmax(0).tolist()
    assert torch.special.logsumexp(x, 0).item() == x.logsumexp(0).item()
