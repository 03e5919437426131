"""The gradients of convolutions as functions."""

from nn.stored import agrees, submodule

import facula


@agrees
def test_gradients_of_convolutions(torch):
    grad = submodule(torch, "nn.grad")
    out = []
    for n in (1, 2, 3):
        sizes = (6, 5, 4)[:n]
        x = torch.arange(2.0 * 4 * 6 * 5 * 4).sin()[: 8 * torch.Size(sizes).numel()]
        x = x.reshape(2, 4, *sizes)
        w = torch.arange(4.0 * 2 * 3**n).cos().reshape(4, 2, *([3] * n))
        how = {"stride": 2, "padding": 1, "groups": 2}
        g = getattr(torch.nn.functional, f"conv{n}d")(x, w, **how).cos()
        out.append(getattr(grad, f"conv{n}d_input")(x.shape, w, g, **how))
        out.append(getattr(grad, f"conv{n}d_weight")(x, w.shape, g, **how))
    return out


@agrees
def test_they_have_gradients(torch):
    grad = submodule(torch, "nn.grad")
    x = torch.arange(16.0).sin().reshape(1, 1, 4, 4).requires_grad_()
    w = torch.arange(9.0).cos().reshape(1, 1, 3, 3).requires_grad_()
    g = torch.ones(1, 1, 2, 2).requires_grad_()
    y = (
        grad.conv2d_weight(x, w.shape, g).pow(2).sum()
        + grad.conv2d_input(x.shape, w, g).pow(3).sum()
    )
    return torch.autograd.grad(y, [x, w, g])


def test_the_module_is_a_name_of_the_functions_too():
    assert facula.nn.functional.grad is facula.nn.grad
