"""Weight normalisation by a hook."""

from __future__ import annotations

import warnings

from nn.stored import agrees, message, warned


def _normed(torch, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nn.utils.weight_norm(torch.nn.Linear(3, 2), **kwargs)


@agrees
def test_forward_and_gradients(torch):
    out = []
    for dim in (0, 1, None):
        m = _normed(torch, dim=dim)
        y = m(torch.ones(1, 3))
        y.sum().backward()
        out.append([y, dict(m.named_parameters()), [p.grad for p in m.parameters()]])
    return out


@agrees
def test_remove(torch):
    m = torch.nn.utils.remove_weight_norm(_normed(torch))
    again = message(torch.nn.utils.remove_weight_norm, m)
    return [dict(m.named_parameters()), again[0]]


@agrees
def test_twice_and_warning(torch):
    m = _normed(torch)
    return [message(_normed, torch, name="bias"), message(torch.nn.utils.weight_norm, m)[0],
            len(warned(torch.nn.utils.weight_norm, torch.nn.Linear(1, 1)))]  # fmt: skip
