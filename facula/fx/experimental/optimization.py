"""Models made faster for evaluation by rewriting their graphs.

Source: https://pytorch.org/tutorials/intermediate/fx_conv_bn_fuser.html
"""

from __future__ import annotations

import copy
from typing import Any

import facula
from facula.errors import honest
from facula.fx._symbolic_trace import Tracer
from facula.fx.graph_module import GraphModule
from facula.fx.node import Node
from facula.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Conv1d, Conv2d, Conv3d, Dropout, Module
from facula.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fuse", "remove_dropout", "replace_node_module"]

_PAIRS = ((Conv1d, BatchNorm1d), (Conv2d, BatchNorm2d), (Conv3d, BatchNorm3d))


def replace_node_module(node: Node, modules: dict[str, Any], new_module: Module) -> None:
    """Put another module where a node's is, also in the table of modules by path."""
    parent, _, name = str(node.target).rpartition(".")
    modules[str(node.target)] = new_module
    setattr(modules[parent], name, new_module)


def fuse(model: Module, inplace: bool = False, no_trace: bool = False) -> Module:
    """The model with each batch normalisation right behind a convolution folded into that.

    Args:
        inplace: change the model's own layers.
        no_trace: the model is a GraphModule already.
    """
    if not inplace:
        model = copy.deepcopy(model)
    made: Any = model
    if not no_trace or not isinstance(model, GraphModule):
        made = GraphModule(model, Tracer().trace(model))
    modules = dict(made.named_modules())
    for node in list(made.graph.nodes):
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(before, Node):
            continue
        if before.op != "call_module" or len(before.users) > 1:
            continue
        conv, norm = modules[str(before.target)], modules[str(node.target)]
        if (type(conv), type(norm)) not in _PAIRS or not norm.track_running_stats:
            continue
        replace_node_module(before, modules, fuse_conv_bn_eval(conv, norm))
        node.replace_all_uses_with(before)
        made.graph.erase_node(node)
    return GraphModule(made, made.graph)


def remove_dropout(model: Module) -> Module:
    """The model without its dropout layers."""

    class Without(facula.fx.Transformer):
        def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
            if isinstance(self.submodules[target], Dropout):
                return args[0]
            return super().call_module(target, args, kwargs)

    return Without(facula.fx.symbolic_trace(model)).transform()


__getattr__ = honest(__name__)
