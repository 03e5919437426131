"""Named results: what they are called, printed as, and made of."""

from __future__ import annotations

import copy
import pickle

import pytest

import facula as torch

X = torch.tensor([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]])
S = X @ X.T

# The operation, the name of its type, and the names of its fields, as PyTorch has them.
CASES = [
    (lambda: X.max(0), "max", "values indices"),
    (lambda: torch.min(X, 1), "min", "values indices"),
    (lambda: X.sort(), "sort", "values indices"),
    (lambda: X.topk(2), "topk", "values indices"),
    (lambda: X.median(0), "median", "values indices"),
    (lambda: X.nanmedian(0), "nanmedian", "values indices"),
    (lambda: X.mode(0), "mode", "values indices"),
    (lambda: X.kthvalue(1), "kthvalue", "values indices"),
    (lambda: X.cummax(0), "cummax", "values indices"),
    (lambda: X.cummin(0), "cummin", "values indices"),
    (lambda: X.aminmax(dim=0), "aminmax", "min max"),
    (lambda: torch.frexp(X), "frexp", "mantissa exponent"),
    (lambda: torch.histogram(X, 3), "histogram", "hist bin_edges"),
    (lambda: torch.histogramdd(X, [2, 2, 2]), "histogramdd", "hist bin_edges"),
    (lambda: torch.slogdet(S), "slogdet", "sign logabsdet"),
    (lambda: torch.svd(X), "svd", "U S V"),
    (lambda: torch.geqrf(X), "geqrf", "a tau"),
    (lambda: torch.linalg.slogdet(S), "linalg_slogdet", "sign logabsdet"),
    (lambda: torch.linalg.qr(X), "linalg_qr", "Q R"),
    (lambda: torch.linalg.svd(X), "linalg_svd", "U S Vh"),
    (lambda: torch.linalg.eigh(S), "linalg_eigh", "eigenvalues eigenvectors"),
    (lambda: torch.linalg.eig(S), "linalg_eig", "eigenvalues eigenvectors"),
    (lambda: torch.linalg.cholesky_ex(S), "linalg_cholesky_ex", "L info"),
    (lambda: torch.linalg.inv_ex(S), "linalg_inv_ex", "inverse info"),
    (lambda: torch.linalg.lu(S), "linalg_lu", "P L U"),
    (lambda: torch.linalg.lu_factor(S), "linalg_lu_factor", "LU pivots"),
    (lambda: torch.linalg.lu_factor_ex(S), "linalg_lu_factor_ex", "LU pivots info"),
    (lambda: torch.linalg.ldl_factor(S), "linalg_ldl_factor", "LD pivots"),
    (lambda: torch.linalg.solve_ex(S, X), "linalg_solve_ex", "result info"),
    (lambda: torch.linalg.lstsq(X, X), "linalg_lstsq", "solution residuals rank singular_values"),
    (lambda: torch.lu_unpack(*torch.linalg.lu_factor(S)), "lu_unpack", "P L U"),
]


@pytest.mark.parametrize(("call", "name", "names"), CASES, ids=[c[1] for c in CASES])
def test_types(call, name, names):
    got = call()
    kind = getattr(torch.return_types, name)
    assert type(got) is kind
    assert kind.__name__ == name
    assert kind.__match_args__ == tuple(names.split())
    assert kind.n_fields == kind.n_sequence_fields == len(got)
    for i, field in enumerate(names.split()):
        assert getattr(got, field) is got[i]
    assert not hasattr(got, "_fields")


def test_printing_as_in_pytorch():
    assert repr(X.max(0)) == (
        "torch.return_types.max(\nvalues=tensor([6., 5., 4.]),\nindices=tensor([1, 1, 1]))"
    )


def test_they_are_tuples():
    kind = torch.return_types.max
    got = kind((1, 2))
    assert got == (1, 2)
    assert hash(got) == hash((1, 2))
    values, indices = got
    assert (values, indices) == (1, 2)
    assert type(got[:1]) is type(got + got) is tuple
    for again in (copy.copy(got), copy.deepcopy(got), pickle.loads(pickle.dumps(got))):
        assert type(again) is kind
        assert again == got
    with pytest.raises(AttributeError):
        got.values = 3
    with pytest.raises(TypeError, match=r"max\(\) takes a 2-sequence \(1-sequence given\)"):
        kind((1,))
    with pytest.raises(TypeError, match="requires a sequence"):
        kind(1)


def test_trees_go_through_them():
    from facula.utils import _pytree

    got = _pytree.tree_map(lambda t: t + 1, X.max(0))
    assert type(got) is torch.return_types.max
    assert got.values.tolist() == [7.0, 6.0, 5.0]
