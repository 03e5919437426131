"""Modules without initial values."""

from __future__ import annotations

from nn.stored import agrees, message


@agrees
def test_skip_init_draws_nothing(torch):
    m = torch.nn.utils.skip_init(torch.nn.Linear, 2, 3)
    return [list(m.state_dict()), m.weight.shape, torch.rand(2),
            message(torch.nn.utils.skip_init, dict)[0]]  # fmt: skip
