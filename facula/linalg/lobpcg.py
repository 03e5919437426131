"""A few extreme eigenpairs of a symmetric matrix, by PyTorch's name of a method for large ones."""

from __future__ import annotations

from typing import Any

from facula.ops.promotion import need
from facula.ops.table import FUNCTIONS, api


@api(method=False)
def lobpcg(
    A: Any,
    k: int | None = None,
    B: Any = None,
    X: Any = None,
    n: int | None = None,
    iK: Any = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: Any = None,
    ortho_fparams: Any = None,
    ortho_bparams: Any = None,
) -> tuple[Any, Any]:
    """The k largest (or smallest) eigenvalues of A x = e B x, and their vectors as columns.

    They are found exactly, by `linalg.eigh`: the settings of PyTorch's iteration have no effect,
    but X and n, which say k where it is not given.

    Source: https://pytorch.org/docs/stable/generated/torch.lobpcg.html
    """
    from facula.linalg import cholesky, eigh, solve_triangular

    need("lobpcg", A=A)
    if A.layout != FUNCTIONS["empty"](0).layout:
        A = A.to_dense()
    shape = A.node.shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise RuntimeError(f"lobpcg: A must be a (batch of) square matrices, got {list(shape)}")
    m = shape[-1]
    k = (1 if X is None else X.node.shape[-1]) if k is None else k
    if m < 3 * (k if n is None else n):
        raise ValueError(
            f"lobpcg: the number of A rows (={m}) is smaller than 3 x the number of requested "
            f"eigenpairs (={k if n is None else n})"
        )
    if B is None:
        values, vectors = eigh(A)
    else:
        low = cholesky(B.to_dense() if B.layout != A.layout else B)
        half = solve_triangular(low, A, upper=False)
        whole = solve_triangular(low.mH, half, upper=True, left=False)
        values, vectors = eigh(whole)
        vectors = solve_triangular(low.mH, vectors, upper=True)
    if largest is None or largest:
        return values[..., -k:].flip(-1), vectors[..., -k:].flip(-1)
    return values[..., :k], vectors[..., :k]
