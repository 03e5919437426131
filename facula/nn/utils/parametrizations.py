"""Ready-made parametrisations: weight and spectral normalisation, orthogonal matrices."""

from __future__ import annotations

import facula
from facula import Tensor
from facula.errors import honest

from .. import functional as F
from ..modules.module import Module
from .parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The norm of ``v`` over all dimensions but ``dim``; over all for None or -1."""
    if dim is None or dim == -1:
        return (v * v).sum().sqrt()
    over = [d for d in range(v.dim()) if d != dim % v.dim()]
    square = v * v
    return (square.sum(over, keepdim=True) if over else square).sqrt()


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """``weight`` with dimension ``dim`` first and the others in one."""
    if weight.dim() < 2:
        return weight
    if dim != 0:
        weight = weight.transpose(0, dim)
    return weight.reshape(weight.shape[0], -1)


class _WeightNorm(Module):
    """``g * v / |v|`` (https://arxiv.org/abs/1602.07868)."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Split a weight into its length (over all dimensions but ``dim``) and its direction."""
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def read_old_names(
        state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        # As the hook of nn.utils.weight_norm called them.
        for i, suffix in enumerate(("_g", "_v")):
            old = f"{prefix}{name}{suffix}"
            if old in state_dict:
                new = f"{prefix}parametrizations.{name}.original{i}"
                state_dict[new] = state_dict.pop(old)

    module._register_load_state_dict_pre_hook(read_old_names)
    return module


class _SpectralNorm(Module):
    """``weight`` over its largest singular value (https://arxiv.org/abs/1802.05957)."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        n = weight.dim()
        if not -n <= dim < n:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{n}, {n - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % n
        self.eps = eps
        if n > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            rows, columns = matrix.size()
            u = matrix.new_empty(rows).normal_(0, 1)
            v = matrix.new_empty(columns).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._iterate(matrix, 15)

    def _iterate(self, matrix: Tensor, times: int) -> None:
        """Power iteration towards the first singular vectors."""
        with facula.no_grad():
            u, v = self._u, self._v
            for _ in range(times):
                u = F.normalize(matrix.mv(v), dim=0, eps=self.eps)
                v = F.normalize(matrix.t().mv(u), dim=0, eps=self.eps)
            self._u.copy_(u)
            self._v.copy_(v)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value, found by power iteration.

    ``dim`` is the dimension of the output features: 1 for transposed convolutions, else 0.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    function = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return register_parametrization(module, name, function)


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or rows, if it is wide), as a function of any matrix.

    ``matrix_exp`` and ``cayley`` map the skew-symmetric part of the original's lower triangle;
    ``householder`` takes the columns below its diagonal for reflections, and the diagonal for
    signs. With a ``base``, the result is a rotation of that (https://arxiv.org/abs/1909.09501).
    """

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            n = max(weight.shape[-2:])
            eye = facula.eye(n, dtype=weight.dtype, device=weight.device)
            self.register_buffer("base", eye.expand(*weight.shape[:-2], n, n).clone())

    def forward(self, original: Tensor) -> Tensor:
        n, k = original.shape[-2:]
        wide = n < k
        x = original.mT if wide else original
        n, k = max(n, k), min(n, k)
        if self.orthogonal_map == "householder":
            low = x.tril(-1)
            q = facula.linalg.householder_product(low, 2.0 / (1.0 + (low * low).sum(-2)))
            # The signs are settings and no parameters: nothing is differentiated with respect to.
            q = q * x.detach().diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
        else:
            x = x.tril()
            if n != k:
                x = facula.cat([x, x.new_zeros(*x.shape[:-2], n, n - k)], -1)
            skew = x - x.mH
            if self.orthogonal_map == "matrix_exp":
                q = facula.matrix_exp(skew)
            else:
                eye = facula.eye(n, dtype=x.dtype, device=x.device)
                q = facula.linalg.solve(eye - skew * 0.5, eye + skew * 0.5)
            q = q[..., :k]
        if "base" in self._buffers:
            q = self.base.matmul(q)
        return q.mT if wide else q

    def right_inverse(self, value: Tensor) -> Tensor:
        if value.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {value.shape}."
            )
        n, k = value.shape[-2:]
        wide = n < k
        q = value.mT if wide else value
        n, k = max(n, k), min(n, k)
        if "base" not in self._buffers:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley "
                    "parametrizations when use_trivialization=False."
                )
            packed, tau = facula.geqrf(q)
            signs = packed.diagonal(dim1=-2, dim2=-1).sign()
            signs = facula.where(tau == 0, -signs, signs)  # no reflection: R was not negated
            below = packed.tril(-1) + packed.triu(1)
            packed = below + facula.cat(
                [facula.diag_embed(signs), signs.new_zeros(*signs.shape[:-1], n - k, k)], -2
            )
            return packed.mT if wide else packed
        if n != k:
            rest = facula.randn(*q.shape[:-2], n, n - k, dtype=q.dtype, device=q.device)
            q = _orthonormal(facula.cat([q, rest], -1))
        else:
            q = q.clone() if _is_orthonormal(q) else _orthonormal(q)
        self.base = q
        # With these signs the reflections of a zero original are the identity.
        eye = facula.eye(*value.shape[-2:], dtype=value.dtype, device=value.device)
        return -eye.expand(value.shape).clone()


def _is_orthonormal(q: Tensor) -> bool:
    n = q.shape[-1]
    eye = facula.eye(n, dtype=q.dtype, device=q.device)
    return bool(((q.mH.matmul(q) - eye).abs() <= 10.0 * n * facula.finfo(q.dtype).eps).all())


def _orthonormal(x: Tensor) -> Tensor:
    """The orthogonal factor of ``x``, with the signs that leave an orthogonal ``x`` as it is."""
    q, r = facula.linalg.qr(x)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


_ORTHOGONAL_MAPS = ("matrix_exp", "cayley", "householder")


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Make a weight's columns (the rows, if there are fewer) orthonormal.

    Args:
        orthogonal_map: ``matrix_exp``, ``cayley`` or ``householder``; by default the first for
            square and complex weights and the last for others.
        use_trivialization: whether the weight is a rotation of a matrix that can be assigned.

    See https://pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.orthogonal.html
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _ORTHOGONAL_MAPS:
        raise ValueError(
            f"orthogonal_map has to be one of {', '.join(map(repr, _ORTHOGONAL_MAPS))}. "
            f"Got: {orthogonal_map}"
        )
    if orthogonal_map == "householder" and weight.is_complex():
        raise ValueError("The householder parametrization does not support complex tensors.")
    function = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, function, unsafe=True)


__getattr__ = honest(__name__)
