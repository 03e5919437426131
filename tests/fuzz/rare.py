"""Random programs in which more meets: copies in the middle of a graph, other threads,
memory that is replaced, and transforms, checkpoints and blocks of hooks within each other.

Templates as in `wide.py`.
"""

from __future__ import annotations

from fuzz.wide import ALL, SAVED, Wide

# A statement's expression, and whether its result has the history of {x}.
COPIES = [
    *(("copy.deepcopy({x})", False), ("tidy(pickle.loads(pickle.dumps({x})))", False)),
    *(("tidy(stored({x}))", False), ("copy.deepcopy([{x}, {x}[:1]])[0]", False)),
    *(("copy.copy({x})", False), ("torch.nn.Parameter({x}.detach())", True)),
    ("torch.nn.Parameter(copy.deepcopy({x}.detach()))", True),
]
THREADS = [
    *(("in_thread(lambda: {x} * {x})", True), ("in_thread(lambda: {x}.mul_(2))", True)),
    *(("in_thread(lambda: {x}.detach())", False), ("in_thread(lambda: {x}[...])", True)),
    ("in_thread(lambda: {same})", True),
]
PASSES = [
    *("in_thread(lambda: ({x} * {x}).sum().backward())", "in_thread({x}.sum().backward)"),
    "in_thread(lambda: {x}.sum().backward(retain_graph=True))",
    "with torch.no_grad(): in_thread(lambda: {x}.mul_(2))",
]
INSIDE = [
    "scaled(x, x, 2)",
    "torch.utils.checkpoint.checkpoint(lambda x: {same}, x, use_reentrant=False)",
    "torch.func.vjp(lambda x: {same}, x)[1](x)[0]",
    "(lambda y: (y.mul_(x), y.sum().item(), y)[2])(x.clone())",
    "(lambda y: (y.data.mul_(2), y)[1])(x * 1)",
    "(lambda y: (y.resize_as_(x), y.copy_(x), y)[2])(torch.empty(0, dtype=x.dtype))",
]
AROUND = [
    "torch.utils.checkpoint.checkpoint(lambda x: {inside}, {x}, use_reentrant=False)",
    "tidy(torch.func.grad(lambda x: ({inside}).sum())({x}))",
    "tidy(torch.func.vjp(lambda x: {inside}, {x})[1]({o})[0])",
    "(lambda x: {inside})({x})",
]


def make(seed: int) -> dict:
    """The program of a seed."""
    return Rare(seed).program()


class Rare(Wide):
    """Makes one program."""

    def kind(self) -> str:
        return self.r.choice(MORE)

    def template(self, template: tuple[str, bool], v) -> None:
        text, history = template
        self.add(self.fill(text, v), v.shape, v.dtype, v.rg and history)

    def copied(self) -> None:
        self.template(self.r.choice(COPIES), self.pick())

    def threaded(self) -> None:
        v = self.pick(float=True)
        if self.chance(0.6):
            text, history = self.r.choice(THREADS)
            text = text.replace("{same}", f"(lambda x: {{same}})({v.name})")
            self.template((text, history), v)
        else:
            self.do(self.r.choice(PASSES).format(x=v.name))

    def nested(self) -> None:
        v = self.pick(float=True, rank=1)
        if 0 in v.shape or not v.shape:
            return
        inside = self.r.choice(INSIDE)
        text = self.r.choice(AROUND).replace("{inside}", inside)
        self.add(self.fill(text, v), v.shape, v.dtype, v.rg)
        if self.chance(0.3):
            self.steps[-1] = f"with {self.r.choice(SAVED)}: {self.steps[-1]}"

    def replaced(self) -> None:
        v, o = self.pick(), self.pick()
        self.do(
            self.choice(
                f"{v.name}.set_({o.name}.detach())" if not v.rg else f"{v.name}.detach_()",
                f"{v.name}.data = {o.name}.detach()[...]",
                f"{v.name}.data = {v.name}.data.clone()",
                f"{v.name}.detach_()",
                f"{v.name}.requires_grad_(False)",
                f"{v.name}.grad = None",
                f"{v.name}.grad = torch.ones_like({v.name})",
            )
        )


MORE = ALL + ["copied", "threaded", "nested", "replaced"] * 10
