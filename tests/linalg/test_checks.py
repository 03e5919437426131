"""Arguments of linear algebra."""

from __future__ import annotations

import pytest

import facula as torch


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torch.linalg.inv(torch.ones(3)), "at least 2"),
        (lambda: torch.linalg.inv(torch.ones(2, 3)), "square"),
        (lambda: torch.linalg.det(torch.ones(2, 2, dtype=torch.int64)), "floating point"),
        (lambda: torch.linalg.inv(torch.ones(2, 2, dtype=torch.bfloat16)), "Low precision"),
        (lambda: torch.linalg.solve(torch.eye(2), torch.ones(2).double()), "same dtype"),
        (lambda: torch.linalg.solve(torch.eye(2), torch.ones(3, 1)), "Incompatible"),
        (lambda: torch.linalg.qr(torch.eye(2), "full"), "mode"),
        (lambda: torch.linalg.matrix_norm(torch.eye(2), 3), "not supported"),
    ],
)
def test_runtime_errors(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.linalg.inv(torch.zeros(2, 2)),
        lambda: torch.linalg.solve(torch.zeros(1, 2, 2), torch.ones(2, 1)),
        lambda: torch.linalg.cholesky(-torch.eye(2)),
    ],
)
def test_failures_that_depend_on_data_come_at_the_call(call):
    with pytest.raises(torch.linalg.LinAlgError):
        call()


# What PyTorch's functions ask for by themselves, and what only their kernels lack.
DTYPES = {
    torch.int64: {
        RuntimeError: "cholesky inv det slogdet qr svd eig matrix_rank pinv",
        NotImplementedError: "lu lu_factor lu_factor_ex eigh eigvalsh",
    },
    torch.float16: {
        RuntimeError: "inv slogdet matrix_rank pinv",
        NotImplementedError: "cholesky det lu lu_factor qr svd svdvals eig eigh eigvalsh",
    },
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_that_are_refused(dtype):
    a = torch.eye(3).to(dtype)
    for kind, names in DTYPES[dtype].items():
        for name in names.split():
            with pytest.raises(RuntimeError) as e:
                getattr(torch.linalg, name)(a)
            assert e.type is kind, name
    for name in ("cholesky", "cholesky_inverse", "geqrf", "lu"):
        with pytest.raises(NotImplementedError, match=name):
            getattr(torch, name)(a)
