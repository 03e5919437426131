"""The types of results of several tensors: tuples whose items have names.

Source: https://pytorch.org/docs/stable/torch.html (the operations that say "a namedtuple")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facula.errors import honest

_FIELDS = {
    "_lu_with_info": "LU pivots info",
    "aminmax": "min max",
    "cummax": "values indices",
    "cummin": "values indices",
    "frexp": "mantissa exponent",
    "geqrf": "a tau",
    "histogram": "hist bin_edges",
    "histogramdd": "hist bin_edges",
    "kthvalue": "values indices",
    "linalg_cholesky_ex": "L info",
    "linalg_eig": "eigenvalues eigenvectors",
    "linalg_eigh": "eigenvalues eigenvectors",
    "linalg_inv_ex": "inverse info",
    "linalg_ldl_factor": "LD pivots",
    "linalg_ldl_factor_ex": "LD pivots info",
    "linalg_lstsq": "solution residuals rank singular_values",
    "linalg_lu": "P L U",
    "linalg_lu_factor": "LU pivots",
    "linalg_lu_factor_ex": "LU pivots info",
    "linalg_qr": "Q R",
    "linalg_slogdet": "sign logabsdet",
    "linalg_solve_ex": "result info",
    "linalg_svd": "U S Vh",
    "lu_unpack": "P L U",
    "max": "values indices",
    "median": "values indices",
    "min": "values indices",
    "mode": "values indices",
    "nanmedian": "values indices",
    "qr": "Q R",
    "slogdet": "sign logabsdet",
    "sort": "values indices",
    "svd": "U S V",
    "topk": "values indices",
    "triangular_solve": "solution cloned_coefficient",
}


class Fields(tuple[Any, ...]):
    """A result of several tensors, by position and by name."""

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()
    n_fields = n_sequence_fields = n_unnamed_fields = 0

    def __new__(cls, sequence: Sequence[Any]) -> Fields:
        if not isinstance(sequence, Sequence):
            raise TypeError("constructor requires a sequence")
        if len(sequence) != cls.n_fields:
            raise TypeError(
                f"torch.return_types.{cls.__name__}() takes a {cls.n_fields}-sequence "
                f"({len(sequence)}-sequence given)"
            )
        return super().__new__(cls, sequence)

    def __repr__(self) -> str:
        named = zip(self.__match_args__, self, strict=True)
        parts = ",\n".join([f"{n}={v!r}" for n, v in named])
        return f"torch.return_types.{type(self).__name__}(\n{parts})"

    def __reduce__(self) -> Any:
        return type(self), (tuple(self),)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"'torch.return_types.{type(self).__name__}' object has no attribute {name!r}: it is a "
            f"tuple of {', '.join(self.__match_args__)}",
            name=name,
            obj=self,
        )


def _item(i: int) -> property:
    return property(lambda self: self[i])


def _declare(name: str, names: tuple[str, ...]) -> type[Fields]:
    members: dict[str, Any] = {n: _item(i) for i, n in enumerate(names)}
    members.update(
        __slots__=(),
        __module__=__name__,
        __match_args__=names,
        n_fields=len(names),
        n_sequence_fields=len(names),
    )
    return type(name, (Fields,), members)


all_return_types = [_declare(name, tuple(names.split())) for name, names in _FIELDS.items()]
globals().update({t.__name__: t for t in all_return_types})


def fields(name: str) -> Any:
    """The type of an operation's results."""
    return globals()[name]


__all__ = ["all_return_types"]
__all__ += [name for name in _FIELDS if name[0] != "_"]

__getattr__ = honest(__name__)
