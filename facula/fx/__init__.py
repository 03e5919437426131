"""Programs as graphs to look at and to rewrite.

    traced = fx.symbolic_trace(model)   # calls the model with stand-ins
    for node in traced.graph.nodes:     # placeholders, calls, the output
        if node.target is torch.relu:
            node.target = torch.nn.functional.gelu
    traced.recompile()                  # its forward is the graph's code again

`_symbolic_trace` calls, `proxy` has the stand-ins, `node` and `graph` what they write, `_code` the
Python text of it, `graph_module` the module that runs that text, `interpreter` runs and rewrites
node by node, `subgraph_rewriter` replaces patterns.

Source: https://pytorch.org/docs/stable/fx.html
"""

from __future__ import annotations

from facula.errors import honest
from facula.fx import graph, graph_module, immutable_collections, interpreter, node, proxy
from facula.fx._symbolic_trace import PH, ProxyableClassMeta, Tracer, symbolic_trace, wrap
from facula.fx.graph import CodeGen, Graph
from facula.fx.graph_module import GraphModule
from facula.fx.interpreter import Interpreter, Transformer
from facula.fx.node import Node, has_side_effect, map_arg
from facula.fx.proxy import Proxy
from facula.fx.subgraph_rewriter import replace_pattern

__all__ = [
    "CodeGen",
    "Graph",
    "GraphModule",
    "Interpreter",
    "Node",
    "PH",
    "Proxy",
    "ProxyableClassMeta",
    "Tracer",
    "Transformer",
    "has_side_effect",
    "map_arg",
    "replace_pattern",
    "symbolic_trace",
    "wrap",
]

__getattr__ = honest(__name__)
