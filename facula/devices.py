"""Where a tensor lives: on the CPU, or on a CUDA device."""

from __future__ import annotations

from typing import Any

from facula.errors import NoDeviceError, refuse

_TYPES = ("cpu", "cuda", "meta", "mps", "xpu")


class device:
    """A device: `device('cpu')`, `device('cuda', 0)`, `device('cuda:0')`, `device(device='cpu')`.

    Source: https://pytorch.org/docs/stable/tensor_attributes.html#torch-device
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: Any = None, index: int | None = None, **other: Any) -> None:
        if other:  # the argument's second name, which stands alone
            name = next((n for n in other if n != "device"), None)
            if name is not None or type is not None or index is not None:
                raise TypeError(f"device() got an unexpected keyword argument '{name or 'device'}'")
            type = other["device"]
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(
                "device(): argument 'type' must be torch.device, str or int, not "
                f"{type.__class__.__name__}"
            )
        if index is not None and (isinstance(index, bool) or not hasattr(index, "__index__")):
            raise TypeError(
                f"device(): argument 'index' must be int, not {index.__class__.__name__}"
            )
        if index is not None and index < 0:
            raise RuntimeError(f"Device index must not be negative, got {index} for '{type}'")
        name, colon, number = type.partition(":")
        if name not in _TYPES or (colon and not number.isdigit()):
            raise RuntimeError(
                f"Expected one of {', '.join(_TYPES)} device type at start of device string: {type}"
            )
        if colon and index is not None:
            raise RuntimeError(
                f"'type' must not include an index because index was passed explicitly: {type}"
            )
        self.type = name
        self.index = int(number) if colon else index

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')"
            if self.index is None
            else (f"device(type='{self.type}', index={self.index})")
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        """Make new tensors on this device, until the block ends."""
        from facula.meta import placing
        from facula.ops.table import enter_mode

        check(self)
        _entered.append(placing(self))
        enter_mode(_entered[-1])
        return self

    def __exit__(self, *exc: object) -> None:
        from facula.ops.table import leave_mode

        leave_mode(_entered.pop())


_entered: list[Any] = []  # the modes of `with device:` blocks
CPU = device("cpu")
META = device("meta")


_made: dict[int, device] = {}  # the devices of tensors, one object each


def _cuda(d: device) -> device:
    from facula.cuda import driver

    count = driver.device_count()
    if count == 0:
        raise NoDeviceError(f"device '{d}' asked for, but no CUDA device is available")
    index = d.index or 0
    if index >= count:
        raise RuntimeError(
            f"CUDA error: invalid device ordinal: '{d}' asked for, but there are {count} device(s)"
        )
    if index:
        raise NotImplementedError(
            f"device '{d}': Facula computes on the first CUDA device only; CUDA_VISIBLE_DEVICES "
            "says which that is"
        )
    return _made.setdefault(index, device("cuda", index))


def present(kind: str) -> bool:
    """Whether there is a device of this kind."""
    if kind != "cuda":
        return kind in ("cpu", "meta")
    from facula import cuda

    return cuda.is_available()


def moved(t: Any, where: device) -> Any:
    """The tensor on a device that `check` gave."""
    if where is t.device:
        return t
    if where is META:
        from facula.meta import moved_to_meta

        return moved_to_meta(t)
    if t.device is META:
        from facula.meta import META as OP
        from facula.meta import NoData

        raise NoData(OP)
    if str(t.layout) != "torch.strided":
        refuse(f"a tensor of layout {t.layout} on {where}", "sparse tensors are on the CPU only")
    from facula.cuda.transfer import move

    return move(t, where)


def check(where: object) -> device:
    """The device asked for, if this release has it; raises otherwise."""
    if where is None or where is CPU:
        return CPU
    d = where if isinstance(where, device) else device(where)  # type: ignore[arg-type]
    if d.type == "cpu":
        return CPU
    if d.type == "meta":
        return META
    if d.type == "cuda":
        return _cuda(d)
    raise NotImplementedError(f"device '{d}' is not in Facula")
