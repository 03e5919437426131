"""Error texts that several modules share."""

from __future__ import annotations


def missing_name(module: str, name: str) -> AttributeError:
    """The error for a name that PyTorch may have and Facula lacks."""
    public = module.replace("facula", "torch", 1)
    return AttributeError(
        f"{public}.{name} is not in Facula (see docs/compatibility.md)", name=name
    )


def describe(value: object) -> str:
    """An argument in words: a tensor by dtype and shape, anything else by its type and value."""
    if hasattr(value, "node") and hasattr(value, "shape"):
        return f"{value.dtype} tensor of shape {tuple(value.shape)}"  # type: ignore[attr-defined]
    return f"{type(value).__name__} {value!r}"[:80]
