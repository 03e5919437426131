"""L-BFGS: quasi-Newton steps from the last `history_size` differences.

    s_k = x_{k+1} - x_k,   y_k = g_{k+1} - g_k
    d   = -H g,  H from (s, y) by the two-loop recursion, starting with (s'y / y'y) times 1
    x  <-  x + t d,        t = lr, or by a search for the strong Wolfe conditions:
           f(x + t d) <= f + c1 t g'd,    |g(x + t d)'d| <= c2 |g'd|

Source: Nocedal and Wright, "Numerical Optimization", algorithms 7.4, 7.5, 3.5 and 3.6 with cubic
interpolation (3.59); the rules that keep a trial point away from the ends of its interval are those
of Schmidt's minFunc; https://pytorch.org/docs/stable/generated/torch.optim.LBFGS.html

Whether to stop, to keep a pair or to go on searching depends on values, so this optimiser, unlike
the others, reads some numbers in every iteration.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import facula
from facula import Tensor
from facula.optim._options import check_lr
from facula.optim.optimizer import Optimizer, ParamsT

_LEAST_CURVATURE = 1e-10  # pairs with s'y below it would make H indefinite
_SUFFICIENT_DECREASE = 1e-4  # c1
_CURVATURE = 0.9  # c2
_MAX_SEARCH = 25


class LBFGS(Optimizer):
    """L-BFGS over all parameters as one vector.

    `step` needs a closure that clears the gradients, computes the loss, calls backward and returns
    the loss; it is called up to `max_eval` times (default: 1.25 `max_iter`). One step makes up to
    `max_iter` iterations. `line_search_fn`: None or ``"strong_wolfe"``.

    State, under the first parameter: `func_evals`, `n_iter`, `d`, `t`, `old_dirs` (y),
    `old_stps` (s), `ro`, `H_diag`, `prev_flat_grad`, `prev_loss`. Raises ValueError for several
    groups, RuntimeError (in `step`) for another line search.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    # ---- all parameters as one vector

    def _flat_grad(self) -> Tensor:
        flat = []
        for p in self.param_groups[0]["params"]:
            g = facula.zeros_like(p) if p.grad is None else p.grad
            flat.append((facula.view_as_real(g) if g.is_complex() else g).reshape(-1))
        return facula.cat(flat)

    def _move(self, direction: Tensor, t: float) -> None:
        """Add ``t * direction`` to the parameters."""
        start = 0
        for p in self.param_groups[0]["params"]:
            if p.is_complex():
                p = facula.view_as_real(p)
            part = direction[start : start + p.numel()].reshape(p.shape)
            p += part * t
            start += p.numel()

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[float, Tensor]:
        """The loss as a number, and the gradient."""
        with facula.enable_grad():
            loss = float(closure())
        return loss, self._flat_grad()

    # ---- the algorithm

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Minimise by up to `max_iter` iterations; returns the closure's first result."""
        with facula.no_grad():
            return self._step(closure)

    def _step(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        lr, max_iter = float(group["lr"]), group["max_iter"]
        least_change, search = group["tolerance_change"], group["line_search_fn"]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        with facula.enable_grad():
            first_loss = closure()
        loss = float(first_loss)
        grad = self._flat_grad()
        evaluations = 1
        state["func_evals"] += 1
        if _largest(grad) <= group["tolerance_grad"]:
            return first_loss

        for iteration in range(1, max_iter + 1):
            state["n_iter"] += 1
            d = self._direction(state, grad, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = grad.clone(), loss
            t = lr
            if state["n_iter"] == 1:  # the scale of H is not known yet
                t *= min(1.0, _over(1.0, grad.abs().sum().item()))
            state["d"], state["t"] = d, t
            slope = grad.dot(d).item()
            if slope > -least_change:
                break
            used = 0
            if search is not None:
                if search != "strong_wolfe":
                    raise RuntimeError(
                        f"only 'strong_wolfe' is supported for line_search_fn, not {search!r}"
                    )
                start = _Point(0.0, loss, grad, slope)
                found, used = self._search(closure, d, start, t, least_change)
                t, loss, grad = found.t, found.loss, found.grad
                state["t"] = t
                self._move(d, t)
            else:
                self._move(d, t)
                if iteration < max_iter:  # else the next step() begins with this evaluation
                    loss, grad = self._evaluate(closure)
                    used = 1
            evaluations += used
            state["func_evals"] += used
            if (
                iteration == max_iter
                or evaluations >= group["max_eval"]
                or _largest(grad) <= group["tolerance_grad"]
                or _largest(d) * t <= least_change
                or abs(loss - state["prev_loss"]) < least_change
            ):
                break
        return first_loss

    def _direction(self, state: dict[str, Any], grad: Tensor, history: int) -> Tensor:
        """-H grad, after adding the last step to the history."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -grad
        ys, ss, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y = grad - state["prev_flat_grad"]
        s = state["d"] * state["t"]
        curvature = y.dot(s).item()
        if curvature > _LEAST_CURVATURE:
            if len(ys) == history:
                del ys[0], ss[0], ro[0]
            ys.append(y)
            ss.append(s)
            ro.append(1.0 / curvature)
            state["H_diag"] = _over(curvature, y.dot(y).item())
        # Sums of products, since dot() records two views besides, and these loops are long.
        q = -grad
        alphas = []
        for y, s, r in zip(reversed(ys), reversed(ss), reversed(ro)):
            alpha = (s * q).sum() * r
            q = q - y * alpha
            alphas.append(alpha)
        state["al"] = list(reversed(alphas))
        q = q * state["H_diag"]
        for y, s, r, alpha in zip(ys, ss, ro, reversed(alphas)):
            q = q + s * (alpha - (y * q).sum() * r)
        return q

    def _search(
        self, closure: Callable[[], Any], d: Tensor, start: _Point, t: float, least_change: float
    ) -> tuple[_Point, int]:
        """A point on the ray that meets the strong Wolfe conditions, as far as 25 trials find one.

        The parameters are left where they were. Returns the point and the number of evaluations.
        """
        params = self.param_groups[0]["params"]
        origin = [p.clone() for p in params]
        scale = _largest(d)

        def at(t: float) -> _Point:
            self._move(d, t)
            loss, grad = self._evaluate(closure)
            for p, x in zip(params, origin):
                p.copy_(x)
            return _Point(t, loss, grad, grad.dot(d).item())

        def decreases(point: _Point) -> bool:
            line = start.loss + _SUFFICIENT_DECREASE * point.t * start.slope
            return not point.loss > line

        def is_flat(point: _Point) -> bool:
            return abs(point.slope) <= -_CURVATURE * start.slope

        # Go on until an interval holds a good point.
        previous, point, trials = start, at(t), 0
        while trials < _MAX_SEARCH:
            if not decreases(point) or (trials > 1 and point.loss >= previous.loss):
                break
            if is_flat(point):
                return point, trials + 1
            if point.slope >= 0:
                break
            nearest = point.t + 0.01 * (point.t - previous.t)
            t = _minimum(previous, point, nearest, 10 * point.t)
            previous, point, trials = point, at(t), trials + 1
        else:
            previous = start

        # Shrink it. Of equal ends the first is the better, as in PyTorch, wherever the other was.
        ends = [previous, point]
        low = 0 if previous.loss <= point.loss else 1
        was_near_an_end = False
        while trials < _MAX_SEARCH and abs(ends[1].t - ends[0].t) * scale >= least_change:
            first, last = sorted((ends[0].t, ends[1].t))
            t = _minimum(ends[0], ends[1], first, last)
            margin = 0.1 * (last - first)
            near_an_end = min(last - t, t - first) < margin
            if near_an_end and (was_near_an_end or t >= last or t <= first):
                t = last - margin if abs(t - last) < abs(t - first) else first + margin
                near_an_end = False
            was_near_an_end = near_an_end
            point, trials = at(t), trials + 1
            if not decreases(point) or point.loss >= ends[low].loss:
                ends[1 - low] = point
                low = 0 if ends[0].loss <= ends[1].loss else 1
                continue
            if is_flat(point):
                return point, trials + 1
            if point.slope * (ends[1 - low].t - ends[low].t) >= 0:
                ends[1 - low] = ends[low]
            ends[low] = point
        return ends[low], trials + 1


class _Point(NamedTuple):
    """A point on the ray: how far, the loss, the gradient, the slope along the ray."""

    t: float
    loss: float
    grad: Tensor
    slope: float


def _largest(x: Tensor) -> float:
    """The largest magnitude."""
    return x.abs().max().item()


def _minimum(p: _Point, q: _Point, least: float, most: float) -> float:
    """Where the cubic through both points and slopes is least, within the bounds."""
    if p.t > q.t:
        p, q = q, p
    width = q.t - p.t
    bend = p.slope + q.slope - _over(3 * (p.loss - q.loss), p.t - q.t)
    square = bend * bend - p.slope * q.slope
    if not square >= 0:
        return (least + most) / 2
    root = math.sqrt(square)
    t = q.t - width * _over(q.slope + root - bend, q.slope - p.slope + 2 * root)
    return min(max(t, least), most)


def _over(a: float, b: float) -> float:
    """a / b as tensors divide, which these are in PyTorch: by zero gives infinity, or NaN."""
    return a / b if b else a * math.copysign(math.inf, b)
