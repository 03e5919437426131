"""Spectral normalisation by a hook."""

from __future__ import annotations

from nn.stored import agrees, message


@agrees(rtol=1e-4)
def test_training_and_evaluation(torch):
    m = torch.nn.utils.spectral_norm(torch.nn.Linear(4, 3), n_power_iterations=2)
    x = torch.ones(2, 4)
    out = [m(x), m(x)]
    out[1].sum().backward()
    m.eval()
    return [out, m(x), m(x), m.weight_orig.grad, m.state_dict()]


@agrees(rtol=1e-4)
def test_transposed_and_remove(torch):
    m = torch.nn.utils.spectral_norm(torch.nn.ConvTranspose2d(2, 3, 2))
    shapes = [m.weight_u.shape, m.weight_v.shape]
    torch.nn.utils.remove_spectral_norm(m)
    return [shapes, list(m.state_dict()), m.weight.shape,
            message(torch.nn.utils.remove_spectral_norm, m)[0]]  # fmt: skip


@agrees
def test_errors(torch):
    m = torch.nn.utils.spectral_norm(torch.nn.Linear(2, 2))
    norm, fresh = torch.nn.utils.spectral_norm, torch.nn.Linear(2, 2, bias=False)
    return [
        message(norm, m),
        message(norm, fresh, n_power_iterations=0)[0],
        message(norm, fresh, "bias")[0],
    ]
