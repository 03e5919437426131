"""Extensions in C++ and CUDA against PyTorch's own C++ interface: they can't be built here.

Everything that would build or load one raises NotImplementedError, so that the packages that fall
back to Python code do.

Source: https://pytorch.org/docs/stable/cpp_extension.html
"""

from __future__ import annotations

from typing import Any

from facula.errors import honest, refusing

CUDA_HOME: str | None = None
CUDNN_HOME: str | None = None
ROCM_HOME: str | None = None
SYCL_HOME: str | None = None
IS_HIP_EXTENSION = False


def _refusing(name: str) -> Any:
    return refusing(
        f"torch.utils.cpp_extension.{name}",
        "extensions compiled against PyTorch's C++ interface do not work with Facula",
        "there is no C++ interface of PyTorch's here.",
    )


_NAMES = """
    CUDAExtension CppExtension SyclExtension include_paths library_paths load load_inline
"""
for _name in _NAMES.split():
    globals()[_name] = _refusing(_name)


class BuildExtension:
    """The command that builds extensions: refuses when it is run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refusing("BuildExtension")()

    @classmethod
    def with_options(cls, **options: Any) -> type[BuildExtension]:
        """The command with options set."""
        return cls


def is_ninja_available() -> bool:
    """Whether extensions can be built with ninja: they can't be built."""
    return False


def verify_ninja_availability() -> None:
    """RuntimeError: extensions can't be built."""
    raise RuntimeError("Ninja is required to load C++ extensions, which Facula can't build")


__getattr__ = honest(__name__)
