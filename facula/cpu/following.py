"""Pointwise operations that follow a core operation, on vectors of its result in registers."""

from __future__ import annotations

from typing import Any

from facula.compiler.cluster import ALL, Cluster, kind_of
from facula.cpu.convolution_plan import flat_steps
from facula.cpu.kernels import Kernel, strides_in
from facula.cpu.maps import MapKernel
from facula.cpu.text import Function, Index, NotCompiled
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node


class Operand:
    """An operand outside the cluster: steps along image, channel and position."""

    def __init__(self, node: Node, kind: str, offset: int, steps: tuple[int, int, int]) -> None:
        self.node = node
        self.kind = kind
        self.offset = offset
        self.steps = steps


def separable(cluster: Cluster, places: Any, constants: set[Node]) -> bool:
    """Whether every operand has one step along the positions of (N, C, *S)."""
    for n in cluster.nodes[1:]:
        for i in n.inputs:
            p = places[i]
            if p.base in cluster.level or p.base in constants:
                continue
            if flat_steps(cluster.shape[2:], tuple(strides_in(p, cluster.shape)[2:])) is None:
                return False
    return True


class Following:
    """Computes what follows a core of shape (N, C, *S), vector by vector.

    In the function of a tile, parameters %x0, %x1, ... are the operands' addresses, %o0, ... those
    of the results and %n0, ... Python numbers. `inside`: all is in the kernel's own function.
    """

    def __init__(self, kernel: Kernel, inside: bool = False) -> None:
        self.kernel = kernel
        self.inside = inside
        c = kernel.cluster
        self.operands: dict[Any, Operand] = {}
        self.keys: dict[tuple[Node, int], Any] = {}
        self.nodes = c.nodes[1:]
        for n in self.nodes:
            for k, i in enumerate(n.inputs):
                p = kernel.places[i]
                if p.base in c.level or p.base in kernel.constants:
                    continue
                kind = kind_of(p.base)
                if kind is None:
                    raise NotCompiled(str(p.base.dtype))
                steps = strides_in(p, c.shape)
                flat = flat_steps(c.shape[2:], tuple(steps[2:]))
                assert flat is not None
                key = (p.base, p.offset, steps[0], steps[1], flat)
                self.operands[key] = Operand(p.base, kind, p.offset, (steps[0], steps[1], flat))
                self.keys[(n, k)] = key
        self.outs = [n for n in c.nodes if n in kernel.stored]
        self.addresses = []
        for a in self.operands.values():
            where = kernel.buffer(a.node)
            self.addresses.append(kernel.f.at(where, a.offset * SIZE[a.kind]))
        self.addresses += [kernel.buffer(n) for n in self.outs]
        kernel.preload()
        self.outer = dict(kernel.numbers)

    def params(self) -> list[str]:
        """The parameters of a tile's function."""
        one = Lanes(self.kernel.f, 1)
        out = [f"ptr %x{k}" for k in range(len(self.operands))]
        out += [f"ptr %o{k}" for k in range(len(self.outs))]
        return out + [f"{one.type(v.kind)} %n{k}" for k, v in enumerate(self.outer.values())]

    def arguments(self) -> list[str]:
        """What a call of a tile's function passes for them."""
        one = Lanes(self.kernel.f, 1)
        out = [f"ptr {a}" for a in self.addresses]
        return out + [f"{one.type(v.kind)} {v.name}" for v in self.outer.values()]

    def emit(
        self, f: Function, x: Lanes, rows: list[Value], image: Index, channel: Index, at: Index
    ) -> None:
        """Store what follows from vectors of successive channels at one position."""
        kernel, c = self.kernel, self.kernel.cluster
        n_positions = 1
        for m in c.shape[2:]:
            n_positions *= m
        bases = {}
        for k, (key, a) in enumerate(self.operands.items()):
            size = SIZE[a.kind]
            where: Index = 0
            for i, s in zip((image, channel, at), a.steps, strict=True):
                where = f.add(where, f.mul(i, s * size))
            bases[key] = f.at(self.addresses[k] if self.inside else f"%x{k}", where)
        place = f.mul(f.add(f.mul(image, c.shape[1]), channel), n_positions)
        place = f.add(place, at)
        targets = []
        for k, n in enumerate(self.outs):
            kind = kind_of(n)
            assert kind is not None
            own = self.addresses[len(self.operands) + k] if self.inside else f"%o{k}"
            targets.append(f.at(own, f.mul(place, SIZE[kind])))
        saved, function = kernel.numbers, kernel.f
        if not self.inside:
            kernel.numbers = {
                key: Value(f"%n{k}", v.kind) for k, (key, v) in enumerate(self.outer.items())
            }
        kernel.f = f
        try:
            for i, v in enumerate(rows):
                memo: dict[Node, Value] = {c.nodes[0]: v}
                for n in self.nodes:
                    args = [self._operand(n, k, x, i, memo, bases) for k in range(len(n.inputs))]
                    memo[n] = kernel.compute(n, x, args)
                for n, target in zip(self.outs, targets, strict=True):
                    x.store(memo[n], f.at(target, i * n_positions * SIZE[memo[n].kind]))
        finally:
            kernel.numbers, kernel.f = saved, function

    def _operand(
        self, n: Node, k: int, x: Lanes, row: int, memo: dict[Node, Value], bases: Any
    ) -> Value:
        kernel = self.kernel
        b = kernel.places[n.inputs[k]].base
        if b in memo:
            return memo[b]
        if b in kernel.constants:
            kind = kind_of(b)
            assert kind is not None
            return x.splat(kernel.number(b.scalar_at, b.stypes[0], kind))
        key = self.keys[(n, k)]
        a = self.operands[key]
        size = SIZE[a.kind]
        p = x.f.at(bases[key], row * a.steps[1] * size)
        step = a.steps[2]
        if step == 1 or x.width == 1:
            return x.load(p, a.kind)
        return x.load_strided(p, step * size, a.kind)


def rest(args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
    """Kernels for what follows the core of a cluster, the core's result being in memory."""
    cluster, places, stored, constants = args
    c = Cluster(cluster.index, cluster.shape)
    for n in cluster.nodes[1:]:
        assert cluster.level[n] != ALL
        c.add(n, cluster.level[n])
    kernel = MapKernel(c, places, stored - {cluster.core}, constants, guards=guards)
    kernel.build(width)
    return [kernel]
