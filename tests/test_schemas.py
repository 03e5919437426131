"""Schemas of operators: what PyTorch 2.13 makes of the same signatures."""

from __future__ import annotations

import typing

import pytest

import facula
from facula import library

SIGNATURES = {
    "(x: T, n: int = 3) -> T": "(Tensor x, SymInt n=3) -> Tensor",
    "(x: Optional[int] = None) -> float": "(SymInt? x=None) -> float",
    "(x: Sequence[int]) -> bool": "(SymInt[] x) -> bool",
    "(x: List[float]) -> List[T]": "(float[] x) -> Tensor[]",
    "(x: Optional[List[int]]) -> Tuple[T, int]": "(SymInt[]? x) -> (Tensor, SymInt)",
    "(x: 'T') -> 'T'": "(Tensor x) -> Tensor",
    "(x: torch.device = 'cpu') -> T": '(Device x="cpu") -> Tensor',
    "(x: torch.dtype = torch.float32) -> T": "(ScalarType x=float32) -> Tensor",
    "(x: Union[int, float, bool]) -> T": "(Scalar x) -> Tensor",
    "(x: T | None) -> None": "(Tensor? x) -> ()",
    "(x: List[Optional[T]]) -> T": "(Tensor?[] x) -> Tensor",
    "(x: float = 1e-5, y: int = -1, z: bool = False) -> T": (
        "(float x=1e-05, SymInt y=-1, bool z=False) -> Tensor"
    ),
    "(self: T, *, k: int) -> T": "(Tensor self, *, SymInt k) -> Tensor",
    "(x: T, *a: int) -> None": "positional-only args, varargs",
    "(x: T) -> dict": "Return has unsupported type <class 'dict'>",
    "(x: Any) -> T": "Parameter x has unsupported type typing.Any",
    "(x: List[int] = [1]) -> T": "unsupported default value type <class 'list'>",
    "(x: Tuple[int, int]) -> T": "Parameter x has unsupported type",
    "(x: T) -> Optional[T]": "Return has unsupported type",
}


@pytest.mark.parametrize(("signature", "expected"), SIGNATURES.items())
def test_schemas_of_functions(signature, expected):
    names = {**vars(typing), "T": facula.Tensor, "torch": facula}
    exec(compile(f"def f{signature}: pass", "f", "exec", dont_inherit=True), names)
    if not expected.startswith("("):
        with pytest.raises(ValueError, match=expected):
            library.infer_schema(names["f"], mutates_args=())
        return
    assert library.infer_schema(names["f"], mutates_args=()) == expected


def test_schemas_of_functions_that_write():
    def f(x: facula.Tensor, n: int, y: list[facula.Tensor]) -> None:
        pass

    infer = library.infer_schema
    some = "(Tensor x, SymInt n, Tensor(a2!)[] y) -> ()"
    assert infer(f, mutates_args={"y"}, op_name="f") == "f" + some
    every = "(Tensor(a0!) x, SymInt n, Tensor(a2!)[] y) -> ()"
    assert infer(f, mutates_args="unknown") == every
    with pytest.raises(ValueError, match="only Tensors or collections of Tensors can be mutated"):
        infer(f, mutates_args=["n"])
    with pytest.raises(ValueError, match="were not found in the custom op's signature"):
        infer(f, mutates_args=["z"])
    with pytest.raises(ValueError, match="the string 'unknown'"):
        infer(f, mutates_args="x")
