"""Does PyTorch read what Facula writes? Two commands, since no environment need have both.

    PYTHONPATH=. python tests/generate/checkpoints_back.py write FOLDER    # with Facula
    python tests/generate/checkpoints_back.py check FOLDER                 # with PyTorch

The first loads each stored checkpoint of PyTorch's and saves it again, in every pickle protocol and
in the format before 1.6, and writes some objects that Facula made. The second loads them with
`torch.load`, with and without `weights_only` and mapped into memory, and compares them with what
PyTorch saved at first (`tests/data/checkpoints/expected.json`) or makes itself. It prints what
differs and ends with a count; exit status 1 if anything differs.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data" / "checkpoints"
PROTOCOLS = (2, 3, 4, 5)
RATE = 0.01
TOO_NEW = {"dtype_uint16", "dtype_uint32", "dtype_uint64"}  # for the format before 1.6


def names() -> list[str]:
    return [p.stem for p in sorted(DATA.glob("*.pt"))]


def made(torch):
    """Objects that the framework at hand makes by itself; the same in either."""
    torch.manual_seed(3)
    x = torch.arange(12.0).reshape(3, 4)
    y = x * 2 + 1  # in Facula: not computed yet
    view = y[1:, ::2]
    y.mul_(3)
    yield "pending", [y, view, view.sum()]
    yield "written_in_place", [x, x.add_(1).t(), x[2]]
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, bias=False),  # its gradient would be rounding before BatchNorm
        torch.nn.BatchNorm2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 2),
    )
    for name, options in (
        ("Adam", {}),
        ("SGD", {"momentum": 0.9}),
        ("RMSprop", {}),
        ("Adagrad", {}),
    ):
        opt = getattr(torch.optim, name)(model.parameters(), lr=RATE, **options)
        for _ in range(2):
            opt.zero_grad()
            model(torch.randn(3, 1, 4, 4)).pow(2).sum().backward()
            opt.step()
        schedule = torch.optim.lr_scheduler.StepLR(opt, 2)
        parts = {"model": model.state_dict(), "optimizer": opt.state_dict()}
        yield f"trained_{name}", {**parts, "schedule": schedule.state_dict()}
    yield "generator", torch.get_rng_state()
    yield "large", torch.randn(300, 400)
    yield "many", {f"layer.{i}.weight": torch.randn(3) for i in range(400)}
    yield "half", [torch.randn(3).to(d) for d in (torch.float16, torch.bfloat16)]


def write(folder: Path) -> None:
    import facula

    folder.mkdir(parents=True, exist_ok=True)
    for name in names():
        value = facula.load(DATA / f"{name}.pt")
        for protocol in PROTOCOLS:
            facula.save(value, folder / f"{name}.{protocol}.pt", pickle_protocol=protocol)
        if name not in TOO_NEW:
            old = {"_use_new_zipfile_serialization": False}
            facula.save(value, folder / f"{name}.old.pt", **old)
    for name, value in made(facula):
        facula.save(value, folder / f"made_{name}.pt")


def check(folder: Path) -> int:
    import torch
    from checkpoints import describe

    expected = json.loads((DATA / "expected.json").read_text())
    wrong, count = [], 0
    for name in names():
        want = expected[name]
        for protocol in (*PROTOCOLS, "old"):
            for options in ({"weights_only": True}, {"weights_only": False}, {"mmap": True}):
                if protocol == "old" and ("mmap" in options or name in TOO_NEW):
                    continue
                if protocol in (4, 5) or name.startswith(
                    ("numpy", "plain", "legacy_plain", "protocol")
                ):
                    # PyTorch's reader of tensors only knows no later protocol and no NumPy.
                    options = {**options, "weights_only": False}
                count += 1
                try:
                    value = torch.load(folder / f"{name}.{protocol}.pt", **options)
                    got = json.loads(json.dumps(describe(value, {})))
                except Exception as error:
                    wrong.append(f"{name}, protocol {protocol}, {options}: {error!r:.200}")
                    continue
                difference = compare(got, want, name)
                if difference:
                    wrong.append(f"protocol {protocol}, {options}: {difference}")
    for name, want in made(torch):
        count += 1
        got = torch.load(folder / f"made_{name}.pt", weights_only=True)
        difference = close(torch, got, want, name)
        if difference:
            wrong.append(difference)
    print(*wrong, sep="\n")
    print(f"{count - len(wrong)} of {count} as PyTorch's own")
    return len(wrong)


def compare(got, want, where):
    """The first difference of two descriptions; None where there is none."""
    if isinstance(want, dict) and "storage" in want:
        if want["storage"] is None or 0 in want["shape"]:  # Facula has computed it, or none is left
            got, want = dict(got), dict(want)
            for key in ("storage", "stride", "offset"):
                got.pop(key), want.pop(key)
    if isinstance(want, dict) and "numpy" in want:
        # NumPy turns arrays of the other byte order round when it reads them.
        got, want = ({**d, "dtype": d["dtype"].replace(">", "<")} for d in (got, want))
    if type(got) is not type(want):
        return f"{where}: {got!r:.80} is not {want!r:.80}"
    if isinstance(want, dict):
        if list(got) != list(want):
            return f"{where}: {list(got)} is not {list(want)}"
        parts = [compare(got[k], want[k], f"{where}.{k}") for k in want]
    elif isinstance(want, list):
        if len(got) != len(want):
            return f"{where}: {len(got)} parts, not {len(want)}"
        parts = [compare(g, w, f"{where}[{i}]") for i, (g, w) in enumerate(zip(got, want))]
    else:
        return None if got == want else f"{where}: {got!r:.80} is not {want!r:.80}"
    return next((p for p in parts if p), None)


def close(torch, got, want, where):
    """The same for values that two frameworks have computed."""
    if isinstance(want, torch.Tensor):
        same = (got.dtype, got.shape, got.stride()) == (want.dtype, want.shape, want.stride())
        if not same or not torch.allclose(got.double(), want.double(), 1e-4, 1e-5):
            return f"{where}: {got!r:.200} is not {want!r:.200}"
        return None
    if type(got) is not type(want):
        return f"{where}: a {type(got).__name__}, not a {type(want).__name__}"
    if isinstance(want, dict):
        if list(got) != list(want):
            return f"{where}: keys {list(got)}, not {list(want)}"
        return next((d for k in want if (d := close(torch, got[k], want[k], f"{where}.{k}"))), None)
    if isinstance(want, (list, tuple)):
        pairs = enumerate(zip(got, want, strict=True))
        return next((d for i, (g, w) in pairs if (d := close(torch, g, w, f"{where}[{i}]"))), None)
    return None if got == want else f"{where}: {got!r:.80} is not {want!r:.80}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    command, place = sys.argv[1], Path(sys.argv[2])
    if command == "write":
        write(place)
    else:
        sys.exit(check(place) != 0)
