"""Nested containers as flat lists."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import pytest

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

    assert _pytree._get_node_type([1]) in _pytree.SUPPORTED_NODES
    assert _pytree._get_node_type(1) not in _pytree.SUPPORTED_NODES
    leaves, spec = _pytree.tree_flatten([1, (2,)])
    pair = _pytree.TreeSpec(tuple, None, [_pytree.LeafSpec()])
    assert spec == _pytree.TreeSpec(list, None, [_pytree.LeafSpec(), pair])
    assert _pytree.tree_unflatten(leaves, spec) == [1, (2,)] and _pytree.LeafSpec().is_leaf()
