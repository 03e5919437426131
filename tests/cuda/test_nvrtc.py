"""Every kind of kernel compiles to machine code where NVRTC is installed: no device is needed."""

from __future__ import annotations

from typing import Any

import pytest

import facula as torch
from facula.cuda import generator, lanes, libraries, modules, nvrtc, rejection
from facula.cuda.modules import module

from .table import CASES, INDEXED, results
from .test_decompositions import EXACT
from .test_pairs import CASES as pairs

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")


def _texts() -> list[str]:
    """The kernels of the table's operations, and of what ran before in this process."""
    for _, f, shapes in CASES[::3]:
        results(f, [torch.ones(s).to("cuda").requires_grad_() for s in shapes])
    index = torch.zeros(4, 4, dtype=torch.int64).to("cuda")
    for _, f in INDEXED:
        results(f, [torch.ones(4, 4).to("cuda").requires_grad_()], (index,))
    z = [torch.ones(3, 4, dtype=torch.complex64).to("cuda") * k for k in (1j, 2)]
    for f in [*pairs.values()][::3]:
        f(*z).cpu()
    a = torch.eye(4, dtype=torch.float64).to("cuda") * (1 + 1j)
    for f, _ in [*EXACT.values()][::4]:
        f(a.real), f(a)
        torch.cuda.synchronize()
    return list(modules._kernels)


def test_every_kernel_states_its_block(device: Any) -> None:
    texts = [*_texts(), *[generator.text(n, "f32") for n in generator._BODIES]]
    assert [t for t in texts if " __launch_bounds__(" not in t.partition(" NAME(")[0]] == []


@pytest.mark.skipif(not libraries.has_library("nvrtc"), reason="NVRTC is not installed")
def test_kernels_compile_for_every_architecture(device: Any) -> None:
    texts = _texts()
    texts = texts[:: max(len(texts) // 200, 1)]
    texts += [generator.text(n, k) for n in generator._BODIES for k in ("f32", "f64", "bf16")]
    texts += [rejection.text(n, k) for n in rejection._BODIES for k in ("f32", "f64")]
    assert len(texts) > 50
    text, names = module(texts)
    for arch in ARCHITECTURES:
        machine = nvrtc._compile(text, arch, nvrtc._library(None))
        assert machine.startswith(b"\x7fELF") and names[-1].encode() in machine


@pytest.mark.skipif(not libraries.has_library("nvrtc"), reason="NVRTC is not installed")
def test_a_text_that_is_wrong_says_where() -> None:
    with pytest.raises(RuntimeError, match="did not compile for sm_80"):
        nvrtc._compile(lanes.PRELUDE + "nonsense", "sm_80", nvrtc._library(None))
