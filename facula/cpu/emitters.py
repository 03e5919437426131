"""Operations that have kernels of their own: which class writes them.

An emitter says whether it `accepts` an entry (only what its shapes, dtypes and parameters say may
decide), whether pointwise operations may join its cluster (`joins`; they then are in
`cluster.nodes` after the core and its kernels have to compute them), and writes the `kernels` that
compute a cluster, in the order in which they run. It may raise `NotCompiled`.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Protocol

from facula.cpu.alignment import Alignment, Backward, Forward
from facula.cpu.convolution import Convolution
from facula.cpu.convolution_weight import ConvolutionWeight
from facula.cpu.folds import Folds
from facula.cpu.fourier import Fourier
from facula.cpu.gathering import Bags, Gather
from facula.cpu.indexing import Scatter
from facula.cpu.integers import AnyProduct
from facula.cpu.matrices import LARGEST, Matrices
from facula.cpu.parts import Parts
from facula.cpu.pooling_back import POOLING, Pooling
from facula.cpu.ranking import Ranks
from facula.cpu.recurrent import RECURRENCES
from facula.cpu.scans import Scans
from facula.cpu.searching import Search
from facula.cpu.selecting import Select, Sort
from facula.cpu.turning import Turning
from facula.trace.node import Node


class Emitter(Protocol):
    """Writes the kernels of one kind of operation."""

    joins: bool
    relocates: bool  # whether its text is the same wherever in their buffers the operands begin

    @property
    def constants(self) -> Container[int]:
        """Operands that need not be in memory where they are constants."""

    def accepts(self, n: Node) -> bool:
        """Whether an entry of this kind is compiled."""

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Any]:
        """The kernels of a cluster; `args` are those of `Kernel`, `width` is in float32 lanes."""


# What a base becomes where indices say.
SCATTERED = ("scatter", "scatter_add", "scatter_reduce", "index_put", "index_put_accumulate")
EMITTERS: dict[str, Emitter] = {
    "matmul": AnyProduct(),
    "assemble": Parts(),
    **dict.fromkeys(("reshape", "clone", "flatten_copy"), Turning()),
    **dict.fromkeys(
        ("sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin"),
        Folds(),
    ),
    **dict.fromkeys(("gather", "index"), Gather()),
    **dict.fromkeys(("bag", "bag_sums", "bag_weighted"), Bags()),
    **dict.fromkeys(
        SCATTERED,
        Scatter(),
    ),
    **dict.fromkeys(("cumsum", "cumprod", "cummax_index", "cummin_index"), Scans()),
    "ctc_alpha": Alignment(Forward),
    "ctc_alpha_back": Alignment(Backward),
    **RECURRENCES,
    **dict.fromkeys(("fft_r2c", "fft_c2c", "fft_c2r"), Fourier()),
    "topk_index": Select(),
    "argsort": Sort(),
    "searchsorted": Search(),
    **dict.fromkeys(LARGEST, Matrices()),
    **dict.fromkeys(("kth_index", "median_index", "nanmedian_index", "mode_index"), Ranks()),
    **dict.fromkeys(("conv", "conv_input"), Convolution()),
    "conv_weight": ConvolutionWeight(),
    **{name: Pooling(kernel) for name, kernel in POOLING.items()},
}

# Their kernels may read an element twice, so no result is written over what they read.
REVISITING = ("conv", "conv_input", "max_pool_put", *RECURRENCES, *LARGEST)
