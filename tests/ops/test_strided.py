"""Views by sizes and strides."""

from __future__ import annotations

from nn.stored import agrees, raised


@agrees
def test_as_strided_scatter(torch):
    x, s = torch.arange(12.0).reshape(3, 4), -torch.ones(2, 2)
    f = torch.as_strided_scatter
    return [
        f(x, s, (2, 2), (2, 1)),
        f(x.t(), s, (2, 2), (3, 2), 5),
        raised(f, x, s, (2, 2), (20, 20)),
        raised(f, x, s, (2, 2), (1, 2, 3)),
        raised(f, x, s, (2, 2), (-1, 1), 3),
        raised(f, x, torch.ones(3), (2, 2), (1, 1)),
    ]
