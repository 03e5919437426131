"""Runs a program and writes down its losses; `compare.py` starts it under each framework.

    python watch.py REPORT.json OPTIONS.json script.py [arguments]

What is watched is the value on which `backward` is called, which is the same line of the same
program in both frameworks. The program itself is not changed.
"""

from __future__ import annotations

import json
import os
import random
import runpy
import sys
import time
from typing import Any

BEGIN = time.perf_counter()


class Enough(SystemExit):
    """The steps that were asked for have been seen."""


def main() -> None:
    """Run the program that the command line names, under the options of a file."""
    report_file, options_file, script, *arguments = sys.argv[1:]
    with open(options_file) as f:
        options = json.load(f)
    report: dict[str, Any] = {"losses": [], "times": []}
    import torch

    report["imported"] = time.perf_counter() - BEGIN
    seed(torch, options["seed"])
    if options["double"]:
        widen(torch)
    if not options["dropout"]:
        stop_dropout(torch)
    watch(torch, report, options)
    sys.argv[:] = [script, *arguments]
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    try:
        runpy.run_path(script, run_name="__main__")
    except Enough:
        pass
    finally:
        report["seconds"] = time.perf_counter() - BEGIN
        with open(report_file, "w") as f:
            json.dump(report, f)


def seed(torch: Any, number: int) -> None:
    """Start every source of random numbers at the same place."""
    random.seed(number)
    torch.manual_seed(number)
    try:
        import numpy as np
    except ImportError:
        return
    np.random.seed(number)


def widen(torch: Any) -> None:
    """Compute in float64, also where the program names float32."""
    torch.set_default_dtype(torch.float64)
    torch.float = torch.float32 = torch.float64
    torch.Tensor.float, torch.nn.Module.float = torch.Tensor.double, torch.nn.Module.double


def move_weights(torch: Any) -> Any:
    """What moves the weights that optimisers have been given by 16 units of their last place.

    A few units are what one operation's rounding comes to: a sum of thousands of terms.
    """
    draw = torch.Generator().manual_seed(0)
    add = torch.optim.Optimizer.add_param_group
    weights: list[Any] = []

    def add_and_note(self: Any, group: Any) -> None:
        add(self, group)
        weights.extend(self.param_groups[-1]["params"])

    def move() -> None:
        for p in weights:
            if p.is_floating_point():
                far = 16 * torch.finfo(p.dtype).eps
                up = torch.rand(p.shape, generator=draw) < 0.5
                p.data.mul_(torch.where(up, 1 + far, 1 - far).to(p))

    torch.optim.Optimizer.add_param_group = add_and_note
    return move


def stop_dropout(torch: Any) -> None:
    """Let every element through: which ones are dropped is no matter of the numbers' agreement."""
    from torch.nn import functional

    def whole(input: Any, *args: Any, **kwargs: Any) -> Any:
        return input

    for name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"):
        setattr(functional, name, whole)
    attend = functional.scaled_dot_product_attention

    def attend_to_all(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("dropout_p", None)
        if len(args) > 1:
            args = (args[0], 0.0, *args[2:])
        return attend(query, key, value, *args, **kwargs)

    functional.scaled_dot_product_attention = attend_to_all
    modules = torch.nn.modules
    for cls in (modules.rnn.RNNBase, torch.nn.MultiheadAttention, modules.dropout._DropoutNd):
        cls.__init__ = _without_dropout(cls.__init__)


def _without_dropout(begin: Any) -> Any:
    """The `__init__` of a module, and then no dropout whatever it was told."""

    def begin_without(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        for name in ("p", "dropout"):
            if name in self.__dict__:
                setattr(self, name, 0.0)

    return begin_without


def watch(torch: Any, report: dict[str, Any], options: dict[str, Any]) -> None:
    """Note each value on which `backward` is called, and end the program after so many."""
    run = torch.Tensor.backward
    steps, read = options["steps"], options["read"]
    move = move_weights(torch) if options["moved"] else None

    def backward(self: Any, *args: Any, **kwargs: Any) -> None:
        if read:
            report["losses"].append(float(self.detach().sum()))
        report["times"].append(time.perf_counter() - BEGIN)
        if steps and len(report["times"]) > steps:
            raise Enough(0)
        run(self, *args, **kwargs)
        if move is not None and len(report["times"]) == 1:  # programs may round their first weights
            move()

    torch.Tensor.backward = backward


if __name__ == "__main__":
    main()
