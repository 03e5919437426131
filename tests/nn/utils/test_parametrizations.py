"""Ready-made parametrisations."""

from __future__ import annotations

from nn.stored import agrees, message, submodule


@agrees
def test_weight_norm(torch):
    m = submodule(torch, "nn.utils.parametrizations").weight_norm(torch.nn.Linear(3, 2))
    m(torch.ones(1, 3)).sum().backward()
    return [m.weight, dict(m.named_parameters()), [p.grad for p in m.parameters()], str(m)]


@agrees
def test_weight_norm_reads_old_names(torch):
    m = submodule(torch, "nn.utils.parametrizations").weight_norm(torch.nn.Linear(3, 2))
    old = {"bias": torch.zeros(2), "weight_g": torch.ones(2, 1), "weight_v": torch.ones(2, 3)}
    return [str(m.load_state_dict(old)), m.weight]


@agrees(rtol=1e-4)
def test_spectral_norm(torch):
    m = submodule(torch, "nn.utils.parametrizations").spectral_norm(torch.nn.Linear(4, 3))
    out = [m.weight, m.weight]
    m.eval()
    return [out, m.weight, m.weight, list(m.state_dict())]


@agrees(rtol=1e-4, atol=1e-5)
def test_orthogonal(torch):
    out = []
    for kind in ("matrix_exp", "cayley", "householder"):
        for rows, columns in ((3, 3), (4, 2), (2, 4)):
            for trivial in (True, False):
                m = torch.nn.Linear(columns, rows)
                submodule(torch, "nn.utils.parametrizations").orthogonal(
                    m, orthogonal_map=kind, use_trivialization=trivial
                )
                w = m.weight
                small = w.mT @ w if rows >= columns else w @ w.mT
                w[0].sum().backward()
                row = [small, list(m.state_dict())]
                if not trivial or kind == "householder":
                    row += [w, m.parametrizations.weight.original.grad]
                out.append(row)
    return out


@agrees
def test_orthogonal_assign(torch):
    m = submodule(torch, "nn.utils.parametrizations").orthogonal(torch.nn.Linear(2, 2, bias=False))
    m.weight = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    return m.weight


@agrees
def test_errors(torch):
    p = submodule(torch, "nn.utils.parametrizations")
    m = torch.nn.Linear(2, 2)
    return [
        message(p.orthogonal, m, "other")[0],
        message(p.orthogonal, m, "bias")[0],
        message(p.orthogonal, m, orthogonal_map="qr")[0],
        message(p.spectral_norm, m, "other")[0],
        message(p.spectral_norm, m, n_power_iterations=0)[0],
    ]
