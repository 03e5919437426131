"""Nested containers as flat lists."""

from __future__ import annotations

from collections import OrderedDict, deque, namedtuple

import pytest

import facula as torch
from facula.utils import _pytree as p

Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "tree",
    [1, [], [1, (2, 3)], {"b": 1, "a": [2]}, OrderedDict(a=1, b=()), Point(1, [2]), (None, "x")],
    ids=repr,
)
def test_trees_come_back(tree):
    leaves, spec = p.tree_flatten(tree)
    assert p.tree_unflatten(leaves, spec) == tree
    assert type(p.tree_map(lambda x: x, tree)) is type(tree)
    assert spec.num_leaves == len(leaves)


def test_maps_and_questions():
    tree = {"a": [1, 2.0], "b": (3,)}
    assert p.tree_map(lambda x, y: x + y, tree, tree) == {"a": [2, 4.0], "b": (6,)}
    assert p.tree_map_only(int, lambda x: -x, tree) == {"a": [-1, 2.0], "b": (-3,)}
    assert p.tree_leaves(tree, is_leaf=lambda x: isinstance(x, list)) == [[1, 2.0], 3]
    assert p.tree_all(bool, tree) and not p.tree_any(lambda x: x > 3, tree)
    assert p.tree_structure([1, 2]) == p.tree_structure([3, 4]) != p.tree_structure((3, 4))
    with pytest.raises(ValueError, match="2 items"):
        p.tree_unflatten([1], p.tree_structure([1, 2]))


def test_a_class_can_be_a_container():
    class Box:
        def __init__(self, x):
            self.x = x

    p.register_pytree_node(Box, lambda b: ([b.x], None), lambda v, c: Box(*v))
    assert p.tree_map(lambda x: x + 1, Box([1, 2])).x == [2, 3]
    del p.SUPPORTED_NODES[Box]


def test_libraries_make_specifications_of_their_own():
    from facula.utils import _pytree

    assert p._get_node_type([1]) in _pytree.SUPPORTED_NODES
    assert p._get_node_type(1) not in _pytree.SUPPORTED_NODES
    leaves, spec = _pytree.tree_flatten([1, (2,)])
    pair = _pytree.TreeSpec(tuple, None, [_pytree.LeafSpec()])
    assert spec == _pytree.TreeSpec(list, None, [_pytree.LeafSpec(), pair])
    assert p.tree_unflatten(leaves, spec) == [1, (2,)] and _pytree.LeafSpec().is_leaf()


def test_places_of_leaves():
    tree = {"x": [1, (2,)], "y": Point(3, None), 5: deque([4])}
    pairs = p.tree_leaves_with_path(tree)
    assert [(p.keystr(path), leaf) for path, leaf in pairs] == [
        ("['x'][0]", 1),
        ("['x'][1][0]", 2),
        ("['y'].x", 3),
        ("['y'].y", None),
        ("[5][0]", 4),
    ]
    assert all(p.key_get(tree, path) is leaf for path, leaf in pairs)
    assert p.tree_map_with_path(lambda path, a, b: (len(path), a == b), tree, tree) == {
        "x": [(2, True), ((3, True),)],
        "y": Point((2, True), (2, True)),
        5: deque([(2, True)]),
    }
    assert p.tree_map_with_path(lambda path, a: 1, {}) == {}
    assert p.tree_leaves_with_path(tree, is_leaf=lambda x: isinstance(x, dict)) == [((), tree)]
    assert list(p.tree_iter(tree)) == [1, 2, 3, None, 4]
    assert p.tree_is_leaf(3) and not p.tree_is_leaf([]) and p.tree_is_leaf([], lambda x: True)


def test_places_in_a_class():
    class Box:
        def __init__(self, x):
            self.x = x

    p.register_pytree_node(Box, lambda b: ([b.x], None), lambda v, c: Box(*v))
    with pytest.raises(ValueError, match=r"flatten_with_keys_fn for type .*Box"):
        p.tree_leaves_with_path(Box(3))
    keys = lambda b: ([(p.GetAttrKey("x"), b.x)], None)  # noqa: E731
    p.register_pytree_node(
        Box, lambda b: ([b.x], None), lambda v, c: Box(*v), flatten_with_keys_fn=keys
    )
    assert p.tree_leaves_with_path([Box(3)]) == [((p.SequenceKey(0), p.GetAttrKey("x")), 3)]


def test_kinds_of_tuples():
    result = torch.max(torch.ones(2, 2), 0)
    assert p.is_structseq(result) and p.is_structseq_class(type(result))
    assert not p.is_namedtuple(result) and p.is_namedtuple(Point(1, 2))
    assert not p.is_structseq((1,)) and not p.is_namedtuple_class(tuple)


def test_conditions_on_leaves_of_a_type():
    from collections import namedtuple

    tree = {"a": [1, 2.0], "b": (3, None)}
    assert p.tree_all_only(int, lambda x: x > 0, tree)
    assert not p.tree_any_only(float, lambda x: x > 2, tree)
    seen = []
    assert p.tree_map_only_(int, seen.append, tree) is tree and seen == [1, 3]
    assert p.is_namedtuple_instance(namedtuple("P", "x")(1))
    assert not p.is_namedtuple_instance((1,))


def test_a_spec_counts_its_containers():
    tree = {"x": [1, 2, (3,)], "y": p.tree_flatten(4)[0]}
    spec = p.tree_structure(tree)
    assert (spec.num_nodes, spec.num_leaves, spec.num_children) == (8, 4, 2)
    assert [c.num_nodes for c in spec.children()] == [5, 2] and spec.child(1).num_leaves == 1
    leaf = p.tree_structure(3)
    assert (leaf.num_nodes, leaf.num_children, leaf.children()) == (1, 0, [])


def test_named_tuples_are_taken_apart_by_name():
    assert p._namedtuple_flatten(Point(1, 2)) == ([1, 2], Point)
    assert p._namedtuple_unflatten([1, 2], Point) == Point(1, 2)


def test_other_trees_are_taken_apart_as_far_as_the_first():
    first = {"a": 1, "b": [2, 3]}
    assert p.tree_map(lambda x, y: (x, y), first, OrderedDict(b=[[5], {}], a="x")) == {
        "a": (1, "x"),
        "b": [(2, [5]), (3, {})],
    }
    for other in ({"a": 1}, {"a": 1, "c": [2, 3]}, [1, [2, 3]], {"a": 1, "b": (2, 3)}):
        with pytest.raises(ValueError, match="mismatch"):
            p.tree_map(max, first, other)
    with pytest.raises(ValueError, match="context"):
        p.tree_map(max, Point(1, 2), namedtuple("Other", "x y")(1, 2))
