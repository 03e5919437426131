"""Gradients: passes over the graph, hooks, and what is done with `.grad`."""

from __future__ import annotations

from fuzz.maker import FLOATS, Var
from fuzz.results import Results


class Gradients(Results):
    """The part of the maker that differentiates."""

    def root(self, v: Var) -> str:
        """Something to differentiate that depends on v: mostly a scalar."""
        o = self.pick(rg=True, float=True)
        return self.choice(
            f"{v.name}.sum()",
            f"{v.name}.sum()",
            f"({v.name} * {v.name}).sum()",
            f"({v.name}.sum() * {o.name}.sum())",
            v.name,
        )

    def keep(self) -> str:
        return self.choice(
            "",
            "",
            "retain_graph=True",
            "retain_graph=True",
            "create_graph=True" if self.chance(0.15) else "",
        )

    def backward(self) -> None:
        v, o = self.pick(rg=True, float=True), self.pick(rg=True, float=True)
        keep = self.keep()
        extra = f", {keep}" if keep else ""
        c = self.r.random()
        if c < 0.1:
            self.do(f"{v.name}.backward({self.literal(v.shape, v.dtype)}{extra})")
        elif c < 0.16:
            o = self.pick(leaf=True)
            given = f"inputs=[{o.name}]{extra}" if o.leaf else keep
            self.do(f"{self.root(v)}.backward({given})")
        elif c < 0.24:
            roots = f"[{self.root(v)}, {o.name}]"
            ones = f"[None, {self.like(o)}.detach().clone()]"
            self.do(f"torch.autograd.backward({roots}, {ones}{extra})")
        elif c < 0.7:
            self.do(f"{self.root(v)}.backward({keep})")
        else:
            self.partial(v, o)

    def partial(self, v: Var, o: Var) -> None:
        """`autograd.grad`, at times differentiated again."""
        create = self.chance(0.5)
        keep = ", create_graph=True" if create else f", {self.keep()}".rstrip(", ")
        unused = ", allow_unused=True" if self.chance(0.6) else ""
        root = self.root(v)
        if root == v.name:
            cut = "" if create else ".detach()"
            root = f"{v.name}, [{o.name}], [{self.like(v)}{cut}.clone()]"
        else:
            root = f"{root}, [{o.name}]"
        if self.chance(0.1):
            unused = ", materialize_grads=True"
        g = self.add(
            f"some(torch.autograd.grad({root}{keep}{unused})[0], {o.name})",
            o.shape,
            o.dtype,
            create,
        )
        if create and self.chance(0.7):
            if self.chance(0.5):
                self.do(f"({g.name} * {g.name}).sum().backward({self.keep()})")
            else:
                p = self.pick(rg=True, float=True)
                inner = f"{g.name}.sum(), [{p.name}], allow_unused=True"
                self.add(
                    f"some(torch.autograd.grad({inner})[0], {p.name})",
                    p.shape,
                    p.dtype,
                    False,
                )

    def hook(self) -> None:
        v = self.pick(rg=True, float=True)
        c = self.r.random()
        if self.handles and c < 0.15:
            self.steps.append(f"h{self.r.randrange(self.handles)}.remove()")
            return
        if c < 0.4:
            self.do(f"{v.name}.retain_grad()")
            return
        f = self.choice(
            "lambda g: g * 2",
            "lambda g: None",
            "lambda g: g + g",
            "lambda g: out(g.tolist())",
            "lambda g: g.clamp(-1, 1)",
        )
        if c < 0.5:
            text = f"{v.name}.register_post_accumulate_grad_hook(lambda t: out(t.grad.tolist()))"
        elif v.hooked:
            return
        else:
            v.hooked = True
            text = f"{v.name}.register_hook({f})"
        self.steps.append(f"h{self.handles} = {text}")
        self.handles += 1

    def grads(self) -> None:
        v = self.pick(rg=True, float=True)
        c = self.r.random()
        if c < 0.35:
            self.add(f"held({v.name})", v.shape, v.dtype, False)
        elif c < 0.6:
            self.do(f"{v.name}.grad = None")
        elif c < 0.7:
            self.do(f"{v.name}.grad = {self.like(v)}.detach().clone()")
        elif c < 0.75:
            self.do(f"{v.name}.grad = {self.like(v)}")
        else:
            self.do(f"{v.name}.grad.{self.choice('zero_()', 'mul_(2)', 'add_(1)', 'detach_()')}")

    def step(self) -> None:
        """What an optimiser does."""
        v = self.pick(rg=True, float=True)
        if v.dtype in FLOATS:
            self.steps.append(
                self.choice(
                    f"with torch.no_grad(): {v.name} -= 0.1 * {v.name}.grad",
                    f"with torch.no_grad(): {v.name}.sub_({v.name}.grad, alpha=0.5)",
                    f"{v.name}.data.add_({v.name}.grad, alpha=-0.1)",
                    f"torch.optim.SGD([{v.name}], lr=0.1).step()",
                )
            )
