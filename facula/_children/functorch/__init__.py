"""What `import functorch` finds under `facula run`: PyTorch's wheel brings a package of this name.

It is `torch.func` under its first name, and the functions that came before `functional_call`.
"""

import torch  # type: ignore[import-not-found]  # in a child process: installs Facula

from facula._functorch.make_functional import (
    FunctionalModule,
    FunctionalModuleWithBuffers,
    combine_state_for_ensemble,
    make_functional,
    make_functional_with_buffers,
)
from facula.errors import honest
from facula.func import functionalize, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp, vmap
from facula.version import API as __version__

__all__ = [
    "FunctionalModule",
    "FunctionalModuleWithBuffers",
    "__version__",
    "combine_state_for_ensemble",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "make_functional",
    "make_functional_with_buffers",
    "vjp",
    "vmap",
]

__getattr__ = honest(__name__)
