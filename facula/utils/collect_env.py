"""What a report of a problem should say: versions and the machine.

python -m facula -m torch.utils.collect_env
"""

from __future__ import annotations

import platform
import sys

from facula.errors import honest


def get_pretty_env_info() -> str:
    """The versions of Facula, Python and NumPy, and the machine."""
    from importlib.metadata import version as installed

    from facula import cuda, version
    from facula.backends.cpu import get_cpu_capability

    rows = {
        "Facula": version.FACULA,
        "Interface of PyTorch": version.API,
        "Python": sys.version.replace("\n", " "),
        "NumPy": installed("numpy"),
        "llvmlite": installed("llvmlite"),
        "System": platform.platform(),
        "Vectors": get_cpu_capability(),
        "CUDA": "yes" if cuda.is_available() else "no",
    }
    return "\n".join([f"{name}: {value}" for name, value in rows.items()])


def main() -> None:
    """Print it."""
    print(get_pretty_env_info())


__getattr__ = honest(__name__)
if __name__ == "__main__":
    main()
