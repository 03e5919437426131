"""How it was built: in Python."""

from __future__ import annotations

from facula.errors import honest


def show() -> str:
    """Versions and the machine, line by line."""
    from facula.utils.collect_env import get_pretty_env_info

    return get_pretty_env_info()


def parallel_info() -> str:
    """The number of threads."""
    from facula import get_num_threads

    return f"threads: {get_num_threads()}"


__getattr__ = honest(__name__)
