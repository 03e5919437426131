"""What this is: Facula, and the release of PyTorch whose interface it follows."""

from __future__ import annotations

from facula.errors import honest

FACULA = "0.1.0"  # Facula's own version
API = "2.13.0"  # the release of PyTorch whose names, defaults and results we follow

__version__ = f"{API}+facula.{FACULA}"
debug = False
git_version = "Unknown"
cuda: str | None = None
hip: str | None = None
rocm: str | None = None
xpu: str | None = None
__getattr__ = honest(__name__)
