"""The default generators: seeding them, and their states.

Source: https://docs.pytorch.org/docs/stable/random.html
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from facula.errors import honest
from facula.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from facula.tensor import Tensor

default_generator = Generator()
default_generator.seed()


def default_generator_of(device: Any) -> Any:
    """The default generator of a device (None: the CPU)."""
    if device is None or device.type != "cuda":
        return default_generator
    from facula.cuda.generator import DEFAULT

    return DEFAULT


def manual_seed(seed: int) -> Generator:
    """Seeds the default generators of all devices with ``int(seed)`` and returns the CPU's.

    ValueError if the seed is outside [-2**63, 2**64).
    """
    made = default_generator.manual_seed(int(seed))
    known = sys.modules.get("facula.cuda.generator")  # else it takes this seed when it begins
    if known is not None:
        known.DEFAULT.manual_seed(int(seed))
    return made


def seed() -> int:
    """Seeds the default generator from the operating system and returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator was started with."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, a uint8 tensor of 5056 elements."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Gives the default generator a state from :func:`get_rng_state`, Facula's or PyTorch's."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str | None = None,
) -> Iterator[None]:
    """Runs a block after which the default generator continues as if the block had not drawn.

    ``devices`` names further devices whose generators to keep: NotImplementedError if it is not
    empty, since this release has the CPU only. ``enabled=False`` makes it do nothing.
    """
    if not enabled or device_type == "meta":
        yield
        return
    further = list(devices) if devices is not None else []
    if further:
        raise NotImplementedError(
            f"{_caller}: {_devices_kw}={further} asks for devices other than the CPU"
        )
    state = default_generator.state_bytes()
    try:
        yield
    finally:
        default_generator.set_state_bytes(state)


__getattr__ = honest(__name__)
