"""Replacing what matches a pattern in a graph.

Source: https://pytorch.org/docs/stable/fx.html#torch.fx.replace_pattern (the interface)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from facula.errors import honest
from facula.fx._symbolic_trace import symbolic_trace
from facula.fx.graph import Graph
from facula.fx.graph_module import GraphModule, _assign_attr
from facula.fx.node import Node, nodes_in
from facula.nn import Module

__all__ = ["Match", "ReplacedPatterns", "replace_pattern", "replace_pattern_with_filters"]


class Match(NamedTuple):
    """Where a pattern was found: its last node, and the graph's nodes by the pattern's."""

    anchor: Node
    nodes_map: dict[Node, Node]


@dataclass
class ReplacedPatterns:
    """As Match, with the nodes that were put there."""

    anchor: Node
    nodes_map: dict[Node, Node]
    replacements: list[Node] = field(default_factory=list)


def replace_pattern(gm: GraphModule, pattern: Any, replacement: Any) -> list[Match]:
    """Replace all that matches, without overlap, and make the module's code anew.

    Both are functions or modules, or graphs of such, with equally many arguments. Arguments of the
    pattern match anything. A part of the graph whose inner values others use does not match.
    """
    done = replace_pattern_with_filters(gm, pattern, replacement)
    return [Match(d.anchor, d.nodes_map) for d in done]


def replace_pattern_with_filters(
    gm: GraphModule,
    pattern: Any,
    replacement: Any = None,
    match_filters: list[Callable[[Any, Graph, Graph], bool]] | None = None,
    ignore_literals: bool = False,
    replacement_callback: Callable[[Any, Graph, Graph], Graph] | None = None,
) -> list[ReplacedPatterns]:
    """As `replace_pattern`, for the matches of which all filters say True.

    Args:
        ignore_literals: let numbers and strings of the pattern match any other.
        replacement_callback: makes the replacement for each match.
    """
    sought = _graph_of(pattern)
    matches = _matches(gm.graph, sought, ignore_literals)
    kept = [m for m in matches if all([f(m, gm.graph, sought) for f in match_filters or ()])]
    done: list[ReplacedPatterns] = []
    renewed: dict[Node, Node] = {}  # what earlier replacements have put in place of nodes
    for match in kept:
        if replacement_callback is not None:
            put = replacement_callback(match, gm.graph, sought)
        else:
            put = _graph_of(replacement)
        done.append(_put(gm.graph, sought, match, put, renewed))
    if isinstance(replacement, Module):
        _hand_over(gm, replacement)
    gm.recompile()
    return done


def _graph_of(what: Any) -> Graph:
    if isinstance(what, Graph):
        return what
    return what.graph if isinstance(what, GraphModule) else symbolic_trace(what).graph


def arguments_of(graph: Graph) -> list[Node]:
    """The nodes that stand for a graph's arguments."""
    return [n for n in graph.nodes if n.op == "placeholder"]


@dataclass
class InternalMatch:
    """Where a pattern was found.

    Attributes:
        anchors: the pattern's nodes that it was sought by: what it returns.
        nodes_map: the graph's nodes (or plain values, of arguments), by the pattern's.
        placeholder_nodes: those that stand for the pattern's arguments.
        returning_nodes: those that stand for what the pattern returns.
    """

    anchors: list[Node]
    nodes_map: dict[Node, Any] = field(default_factory=dict)
    placeholder_nodes: list[Any] = field(default_factory=list)
    returning_nodes: list[Node] = field(default_factory=list)


def _matches(graph: Graph, pattern: Graph, ignore_literals: bool) -> list[InternalMatch]:
    wanted = list(nodes_in(pattern.output_node().args[0]))
    # Anchors: results that no other result is made of.
    last = [n for n in wanted if all([u.op == "output" for u in n.users])] or wanted[-1:]
    found: list[InternalMatch] = []
    taken: set[Node] = set()
    for start in graph.nodes:
        got: dict[Node, Any] = {}
        if not _same(last[0], start, got, ignore_literals):
            continue
        complete = [got]
        for other in last[1:]:
            complete = [
                more
                for known in complete
                for node in graph.nodes
                if _same(other, node, more := dict(known), ignore_literals)
            ]
        for mapped in complete[:1]:
            inner = {
                node
                for p, node in mapped.items()
                if p.op != "placeholder" and isinstance(node, Node)
            }
            if inner & taken or not _closed(mapped, inner, wanted):
                continue
            taken |= inner
            arguments = [mapped.get(p) for p in arguments_of(pattern)]
            found.append(InternalMatch(last, mapped, arguments, [mapped[n] for n in wanted]))
    return found


def _closed(mapped: dict[Node, Any], inner: set[Node], wanted: list[Node]) -> bool:
    """Whether nothing outside uses what the pattern does not return."""
    returned = {mapped[n] for n in wanted}
    return all([user in inner for node in inner - returned for user in node.users])


def _same(p: Any, n: Any, mapped: dict[Node, Any], ignore_literals: bool) -> bool:
    """Whether a part of the pattern matches a part of the graph; `mapped` learns the nodes."""
    if not isinstance(p, Node):
        if isinstance(p, (tuple, list)):
            return (
                isinstance(n, (tuple, list))
                and len(p) == len(n)
                and all([_same(a, b, mapped, ignore_literals) for a, b in zip(p, n, strict=True)])
            )
        if isinstance(p, dict):
            return (
                isinstance(n, dict)
                and p.keys() == n.keys()
                and all([_same(p[k], n[k], mapped, ignore_literals) for k in p])
            )
        if isinstance(n, Node):
            return False
        return ignore_literals or (type(p) is type(n) and bool(p == n))
    if p in mapped:
        return mapped[p] is n or (not isinstance(n, Node) and bool(mapped[p] == n))
    if p.op == "placeholder":
        if isinstance(n, Node) and n in mapped.values():
            return False
        mapped[p] = n
        return True
    if not isinstance(n, Node) or p.op != n.op or p.target != n.target:
        return False
    if p.op == "output" or n in mapped.values():
        return False
    before = dict(mapped)
    mapped[p] = n
    if _same(p.args, n.args, mapped, ignore_literals) and _same(
        p.kwargs, n.kwargs, mapped, ignore_literals
    ):
        return True
    mapped.clear()
    mapped.update(before)
    return False


def _put(
    graph: Graph, pattern: Graph, match: InternalMatch, new: Graph, renewed: dict[Node, Node]
) -> ReplacedPatterns:
    arguments = arguments_of(new)
    if len(arguments) != len(match.placeholder_nodes):
        raise AssertionError(
            f"the pattern has {len(match.placeholder_nodes)} arguments, its replacement "
            f"{len(arguments)}"
        )
    standing: dict[Node, Any] = {}
    for p, given in zip(arguments, match.placeholder_nodes, strict=True):
        while isinstance(given, Node) and given in renewed:
            given = renewed[given]
        standing[p] = given
    match.nodes_map.update(zip(arguments_of(pattern), standing.values(), strict=True))
    returned = match.returning_nodes
    users = {u for n in returned for u in n.users}
    place = next((n for n in graph.nodes if n in users), returned[0])
    before = set(graph.nodes)
    with graph.inserting_before(place):
        result = graph.graph_copy(new, standing)
    results = list(nodes_in(result))
    if len(results) != len(returned):
        raise AssertionError(
            f"the pattern returns {len(returned)} values, its replacement {len(results)}"
        )
    for old, made in zip(returned, results, strict=True):
        old.replace_all_uses_with(made)
        renewed[old] = made
    for p in reversed(pattern.nodes):
        node = match.nodes_map.get(p)
        if p.op not in ("placeholder", "output") and isinstance(node, Node) and not node.users:
            graph.erase_node(node)
    added = [n for n in graph.nodes if n not in before]
    return ReplacedPatterns(match.anchors[0], match.nodes_map, added)


def _hand_over(gm: GraphModule, replacement: Module) -> None:
    """Give the module what its graph names now and the replacement has."""
    gm.delete_all_unused_submodules()
    for node in gm.graph.nodes:
        if node.op not in ("call_module", "get_attr"):
            continue
        value = _found(gm, str(node.target))
        if value is None:
            value = _found(replacement, str(node.target))
            if value is None:
                raise RuntimeError(
                    f"Attempted to create a '{node.op}' node during subgraph rewriting with target "
                    f"{node.target}, but the referenced attribute does not exist in the "
                    "replacement GraphModule"
                )
            _assign_attr(value, gm, str(node.target))
    gm.graph.lint()


def _found(module: Module, path: str) -> Any:
    here: Any = module
    for part in path.split("."):
        here = getattr(here, part, None)
    return here


__getattr__ = honest(__name__)
