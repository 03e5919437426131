"""Views: statements that give a name to another look at the same memory, and indices."""

from __future__ import annotations

import numpy as np
from fuzz.maker import Maker, Var


class Views(Maker):
    """The part of the maker that makes views and reads with index tensors."""

    def view(self) -> None:
        getattr(self, "view_" + self.r.choice(VIEWS))(self.pick())

    def view_index(self, v: Var) -> None:
        i = self.basic(v)
        self.result(v, f"{v.name}[{i}]", lambda a: eval(f"a[{i}]", {"a": a}))

    def view_t(self, v: Var) -> None:
        rank = len(v.shape)
        name = self.choice(".t()", ".T", ".mT") if rank == 2 else self.choice(".t()", ".mT")
        if name == ".mT":
            self.result(v, v.name + name, lambda a: a.swapaxes(-1, -2))
        else:
            self.result(v, v.name + name, lambda a: a.transpose() if a.ndim < 3 else 1 / 0)

    def view_transpose(self, v: Var) -> None:
        i, j = self.dim(len(v.shape)), self.dim(len(v.shape))
        name = self.choice("transpose", "swapaxes", "swapdims")
        self.result(v, f"{v.name}.{name}({i}, {j})", lambda a: a.swapaxes(i, j) if a.ndim else a)

    def view_permute(self, v: Var) -> None:
        p = list(range(len(v.shape)))
        self.r.shuffle(p)
        self.result(v, f"{v.name}.permute({p})", lambda a: a.transpose(p))

    def view_movedim(self, v: Var) -> None:
        i, j = self.dim(len(v.shape)), self.dim(len(v.shape))
        self.result(
            v, f"{v.name}.movedim({i}, {j})", lambda a: np.moveaxis(a, i, j) if a.ndim else a
        )

    def view_view(self, v: Var) -> None:
        n = int(np.prod(v.shape))
        shapes = [[n], [1, n], [n, 1], list(reversed(v.shape))]
        shapes += [[k, n // k] for k in (2, 3, 4) if n % k == 0]
        s = self.r.choice(shapes)
        given = list(s)
        if self.chance(0.3) and s and n:
            given[self.r.randrange(len(s))] = -1
        if self.chance(0.04):
            given.append(2)
        name = self.choice("view", "view", "reshape")
        self.result(v, f"{v.name}.{name}({given})", lambda a: a.reshape(given))

    def view_as(self, v: Var) -> None:
        o = self.r.choice([x for x in self.vars if np.prod(x.shape) == np.prod(v.shape)])
        name = self.choice("view_as", "reshape_as")
        self.add(f"{v.name}.{name}({o.name})", o.shape, v.dtype, v.rg)

    def view_flatten(self, v: Var) -> None:
        if len(v.shape) > 2 and self.chance(0.5):
            at = self.choice(0, 1)
            a, b, *rest = v.shape[at:]
            shape = (*v.shape[:at], a * b, *rest)
            self.add(f"{v.name}.flatten({at}, {at + 1})", shape, v.dtype, v.rg)
            return
        end = self.choice(".flatten()", ".ravel()", ".reshape(-1)")
        self.result(v, v.name + end, lambda a: a.reshape(-1))

    def view_unflatten(self, v: Var) -> None:
        even = [d for d, n in enumerate(v.shape) if n and n % 2 == 0]
        if not even:
            return self.view_index(v)
        d = self.r.choice(even)
        sizes = self.choice([2, -1], [2, v.shape[d] // 2], [-1, 2])
        shape = [*v.shape[:d], *sizes, *v.shape[d + 1 :]]
        self.result(v, f"{v.name}.unflatten({d}, {sizes})", lambda a: a.reshape(shape))

    def view_expand(self, v: Var) -> None:
        s = [n if n != 1 or self.chance(0.4) else self.choice(1, 2, 3) for n in v.shape]
        s = [self.choice(1, 2)] * self.chance(0.4) + s
        new = len(s) - len(v.shape)
        given = [-1 if i >= new and self.chance(0.1) else n for i, n in enumerate(s)]
        s[:] = [v.shape[i - new] if n == -1 else m for i, (n, m) in enumerate(zip(given, s))]
        name = self.choice("expand", "expand", "broadcast_to")
        self.result(v, f"{v.name}.{name}({given})", lambda a: np.broadcast_to(a, s))

    def view_squeeze(self, v: Var) -> None:
        if self.chance(0.5):
            self.result(v, f"{v.name}.squeeze()", lambda a: a.squeeze())
            return
        d = self.dim(len(v.shape))
        self.result(
            v, f"{v.name}.squeeze({d})", lambda a: a.squeeze(d) if a.ndim and a.shape[d] == 1 else a
        )

    def view_unsqueeze(self, v: Var) -> None:
        d = self.dim(len(v.shape) + 1)
        self.result(v, f"{v.name}.unsqueeze({d})", lambda a: np.expand_dims(a, d))

    def view_unbind(self, v: Var) -> None:
        d = self.dim(len(v.shape))
        if not v.shape or d >= len(v.shape):
            self.do(f"{v.name}.unbind({d})")
            return
        n = v.shape[d]
        if not n:
            return
        i, j = self.r.randrange(n), self.r.randrange(n)
        names = [f"v{self.count}", f"v{self.count + 1}"]
        self.count += 2
        self.steps.append(f"{names[0]}, {names[1]} = [{v.name}.unbind({d})[k] for k in ({i}, {j})]")
        shape = np.empty(v.shape).take(0, d).shape
        self.vars += [Var(k, shape, v.dtype, v.rg) for k in names]

    def view_split(self, v: Var) -> None:
        d = self.dim(len(v.shape))
        k = self.choice(1, 2, 2, 3)
        if not v.shape or d >= len(v.shape) or not v.shape[d]:
            self.do(f"{v.name}.split({k}, {d})")
            return
        n = v.shape[d]
        how = self.choice("split", "chunk", "tensor_split", "sections")
        if how == "sections":
            cut = self.r.randint(0, n)
            sizes, text = [cut, n - cut], f"split([{cut}, {n - cut}], {d})"
        else:
            part = {"split": k, "chunk": -(-n // k), "tensor_split": 0}[how]
            sizes = (
                [min(part, n - i) for i in range(0, n, part)]
                if part
                else [n // k + (i < n % k) for i in range(k)]
            )
            text = f"{how}({k}, {d})"
        i = self.r.randrange(len(sizes))
        shape = list(v.shape)
        shape[d] = sizes[i]
        self.add(f"{v.name}.{text}[{i}]", shape, v.dtype, v.rg)

    def view_iterate(self, v: Var) -> None:
        if not v.shape or not v.shape[0]:
            return self.view_unsqueeze(v)
        i = self.r.randrange(v.shape[0])
        self.add(f"list({v.name})[{i}]", v.shape[1:], v.dtype, v.rg)

    def view_diagonal(self, v: Var) -> None:
        k = self.r.randint(-2, 2)
        if len(v.shape) < 2:
            return self.view_index(v)
        i, j = self.r.sample(range(len(v.shape)), 2)
        self.result(v, f"{v.name}.diagonal({k}, {i}, {j})", lambda a: a.diagonal(k, i, j))

    def view_select(self, v: Var) -> None:
        d = self.dim(len(v.shape))
        n = v.shape[d] if v.shape and d < len(v.shape) else 1
        i = self.r.randint(-n, n - 1) if n and self.chance(0.95) else n
        self.result(v, f"{v.name}.select({d}, {i})", lambda a: a.take(i, d))

    def view_narrow(self, v: Var) -> None:
        d = self.dim(len(v.shape))
        n = v.shape[d] if v.shape and d < len(v.shape) else 1
        a = self.r.randint(0, n)
        k = self.r.randint(0, n - a) if self.chance(0.95) else n + 1
        if not v.shape or d >= len(v.shape) or a + k > n:
            self.do(f"{v.name}.narrow({d}, {a}, {k})")
            return
        shape = list(v.shape)
        shape[d] = k
        self.add(f"{v.name}.narrow({d}, {a}, {k})", shape, v.dtype, v.rg)

    def view_strided(self, v: Var) -> None:
        n = int(np.prod(v.shape))
        if n < 2:
            return self.view_index(v)
        s, st, off = self.choice(
            ([n // 2], [2], 0),
            ([n // 2, 2], [2, 1], 0),
            ([2, 2], [1, 1], 0),
            ([n - 1], [1], 1),
            ([2, n // 2], [n // 2, 1], 0),
            ([2, n // 2], [1, 2], 0),
        )
        text = f"{v.name}.as_strided({s}, {st}{', ' + str(off) if off else ''})"
        self.add(text, s, v.dtype, v.rg)

    def view_unfold(self, v: Var) -> None:
        if not v.shape:
            return self.view_index(v)
        d = self.r.randrange(len(v.shape))
        n = v.shape[d]
        k, s = self.r.randint(1, max(n, 1)), self.choice(1, 1, 2)
        if k > n:
            self.do(f"{v.name}.unfold({d}, {k}, {s})")
            return
        shape = list(v.shape)
        shape[d] = (n - k) // s + 1
        self.add(f"{v.name}.unfold({d}, {k}, {s})", [*shape, k], v.dtype, v.rg)

    def view_detach(self, v: Var) -> None:
        self.add(v.name + ".detach()", v.shape, v.dtype, False)

    def view_data(self, v: Var) -> None:
        self.add(v.name + ".data", v.shape, v.dtype, False)

    # Indices as text. NumPy understands them, with `torch.tensor = np.array`.
    def basic(self, v: Var, integers: bool = True) -> str:
        """A basic index."""
        parts, d = [], 0
        rank = len(v.shape)
        stop = self.r.randint(0, rank) if self.chance(0.5) else rank
        while d < stop:
            n = v.shape[d]
            c = self.r.random()
            if c < 0.3 and integers:
                k = self.r.randint(-n, n - 1) if n and self.chance(0.97) else n
                parts.append(str(k))
                d += 1
            elif c < 0.72:
                a = self.choice("", "", str(self.r.randint(-n - 1, n)))
                b = self.choice("", "", str(self.r.randint(-n - 1, n + 1)))
                parts.append(f"{a}:{b}{self.choice('', '', '', ':2', ':1', ':3')}")
                d += 1
            elif c < 0.82 and "..." not in parts:
                parts.append("...")
                left = rank - d
                d += left - self.r.randint(0, left)
            elif c < 0.9:
                parts.append("None")
            else:
                parts.append(":")
                d += 1
        return ", ".join(parts) or self.choice("...", "None", "()")

    def advanced(self, v: Var, wrong: float = 0.02) -> str:
        """An index with integer tensors, masks and lists among slices and numbers."""
        parts, d = [], 0
        rank = len(v.shape)
        size = self.choice(1, 2, 2, 3)
        while d < rank:
            n = v.shape[d]
            c = self.r.random()
            if c < 0.45 and n:
                shape = self.choice((size,), (size,), (2, size), ())
                hi = n if self.chance(wrong) else n - 1
                flat = [self.r.randint(-n, hi) for _ in range(int(np.prod(shape)))]
                a = np.array(flat, object).reshape(shape).tolist()
                parts.append(f"torch.tensor({a})" if self.chance(0.8) or not shape else repr(a))
                d += 1
            elif c < 0.6:
                bits = [self.chance(0.5) for _ in range(n)]
                parts.append(f"torch.tensor({bits}, dtype=torch.bool)")
                d += 1
            elif c < 0.7 and rank - d >= 2:
                m = [[self.chance(0.5) for _ in range(v.shape[d + 1])] for _ in range(n)]
                parts.append(f"torch.tensor({m}, dtype=torch.bool).reshape({n}, {v.shape[d + 1]})")
                d += 2
            elif c < 0.76 and n:
                parts.append(str(self.r.randrange(n)))
                d += 1
            elif c < 0.81:
                parts.append("None")
            else:
                parts.append(self.choice(":", ":", "1:", "::2"))
                d += 1
        if self.chance(0.3):
            parts = parts[: self.r.randint(1, max(1, len(parts)))]
        if len(parts) == 1 and parts[0].startswith("[["):
            parts[0] = f"torch.tensor({parts[0]})"  # else a tuple of lists to some versions
        return ", ".join(parts) or "..."

    def index_shape(self, v: Var, index: str):
        """The shape of v[index]; None where that is an error."""
        try:
            return eval(f"a[{index}]", {"a": np.empty(v.shape), "torch": _Numpy}).shape
        except Exception:
            return None

    def condition(self, v: Var) -> str:
        """A mask computed from values."""
        return self.choice(f"{v.name} > 0", f"{v.name} < 0.5", f"{v.name} != 0")

    def read_index(self) -> None:
        v = self.pick(rank=1)
        if self.chance(0.15) and v.dtype != "bool":
            self.steps.append(f"v{self.count} = {v.name}[{self.condition(v)}]")
            self.steps.append(f"v{self.count + 1} = v{self.count}.sum()")
            self.count += 2
            self.vars.append(Var(f"v{self.count - 1}", (), v.dtype, v.rg))
            return
        i = self.advanced(v)
        shape = self.index_shape(v, i)
        if shape is None:
            self.do(f"{v.name}[{i}]")
        else:
            self.add(f"{v.name}[{i}]", shape, v.dtype, v.rg)


class _Numpy:
    """What an index needs of `torch`, for finding the shape with NumPy."""

    bool = bool

    @staticmethod
    def tensor(x, dtype=None):
        a = np.array(x, dtype)
        return a.astype(np.int64) if a.size == 0 and dtype is None else a


VIEWS = (
    ["index"] * 8
    + ["view"] * 4
    + ["t", "expand", "detach"] * 3
    + ["transpose", "permute", "flatten", "unbind", "split", "diagonal", "select", "narrow"] * 2
    + ["squeeze", "unsqueeze", "unsqueeze", "strided", "data", "as", "unfold", "movedim"]
    + ["unflatten", "iterate"]
)
