"""What one thread has recorded, and all it has seen before: the state behind `recorder.py`."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

from facula.trace.neighbours import Gate
from facula.trace.node import END, ROOT, Node
from facula.trace.untracked import give_back

MAX_TRIE = 400_000  # entries remembered by one recorder before it starts afresh
# So many frames in a row, each of so many operations most of which were new: from then on a frame
# ends where the program comes back to the line at which it began, to find pieces that repeat.
STRAYED, LONG = 5, 2000
# A frame that nothing reads is looked at (turns.py) once it has so many operations, again each time
# that it has twice as many, and once so many bytes have become inputs of new operations.
LOOKED_AT, PINNED = 2000, 1 << 28
_frames = count()  # the frames of all threads: their nodes meet in one graph


def next_turn() -> int:
    """More than the turn of any frame so far: where nodes come in the graph (`graph.turn_of`)."""
    return next(_frames)


class Recorder:
    """What one thread has recorded since its last flush, and all it has seen before."""

    __slots__ = (
        *("__weakref__", "add", "again", "ahead", "anomaly", "asked", "autocast", "begun"),
        *("complaint", "counters", "cur", "frame", "gnodes", "grad", "handles", "head", "held"),
        *("inference", "inputs", "last", "lasting", "limit", "loans", "local", "next", "packing"),
        *("parts", "pieces", "pinned", "place", "read", "replayed", "rests", "rooms", "roots"),
        *("saved_hooks", "scalars", "size", "sized", "soon", "strangers", "strayed", "temps"),
        *("thread", "turn", "turned", "turns", "unsteady", "values"),
        *("views", "wanderers", "watcher"),
    )

    def __init__(self, local: dict[str, Any] | None = None) -> None:
        self.thread = threading.current_thread()
        # Where the thread finds it (neighbours.py).
        self.local: dict[str, Any] = TLS.__dict__ if local is None else local
        self.grad = True
        self.inference: Any = False  # or the block of inference mode
        self.anomaly = False
        self.autocast: Any = None  # dtypes of products by kind of device (amp/policy.py)
        self.packing: Any = None  # what is done with values saved for backward (autograd/saved.py)
        self.saved_hooks: Any = None
        self.watcher: Any = None  # called with the recorder before its frame ends
        self.complaint: Exception | None = None  # why a program is not run compiled
        self.values = False  # whether views are recorded as values (trace/spans.py)
        self.place: Any = None  # the user's line for which the library is recording (resting.py)
        self.asked = 0  # threads that wait for the end of its frame
        self.strangers = 0  # stand-ins for what other threads read or have pending
        self.rests = False  # whether no garbage is collected meanwhile
        # Whether what it has seen is there until `forget` or the end of the process (untracked.py).
        self.lasting = self.thread is threading.main_thread()
        self.size = 0
        self.sized = 0  # when the frame began
        self.strayed = 0  # frames in a row that were long and new
        self.pieces = False  # whether to end frames where the program comes back
        self.roots: dict[bool, Node] = {}
        self.cur: Node = END
        self.last: Node = END
        self.gnodes: dict[Node, Any] = {}
        self.replayed: list[Any] = []
        self.temps: list[Any] = []
        self.loans: list[Any] = []
        self.rooms: dict[Any, Any] = {}  # memory for copies of views (operands.snapshot)
        self.counters: dict[Node, Any] = {}
        self.held: list[Any] = []  # what is kept and was written in this frame (trace/kept.py)
        self.read: tuple[int, int, set[int]] = (-1, 0, set())  # of a frame: see `values.in_use`
        self.unsteady: dict[Any, set[Node]] = {}  # ends of beginnings, by lines (operands.py)
        self.wanderers: dict[int, tuple[int, int]] = {}  # long stretches that were new (spans.py)
        self.reset()

    def reset(self) -> None:
        """Begin a new frame at the root of the trie."""
        cur = self.cur
        if cur.op is not ROOT:
            self.last = cur  # where the frame before ended
            if cur.index >= LONG:
                new = 2 * (self.size - self.sized) > cur.index
                self.strayed = self.strayed + 1 if new else 0
                if self.strayed >= STRAYED and not self.pieces:
                    self.forget()
                    self.pieces = True
        if self.size > MAX_TRIE:
            self.forget()
        root = self.roots.get(self.grad) or self.root(self.grad)
        after = self.last.after
        self.cur = root
        self.next = after if after.parent is root else root.succ
        self.handles: list[Any] = []
        self.add = self.handles.append
        self.inputs: list[tuple[Any, Any, Any]] = []
        self.scalars: list[Any] = []
        # Most frames have none of these, and who still has the last frame's has something in them.
        if self.gnodes:
            self.gnodes = {}
        if self.replayed:
            self.replayed = []
        if self.temps:
            self.temps = []
        if self.loans:
            self.loans = []
        if self.counters:
            self.counters = {}
        if self.held:
            self.held = []
        self.parts = 0  # handles for tensors that are kept
        self.soon = False
        self.views = False
        self.sized = self.size
        self.head: Any = None  # the line that began this frame, once asked for
        self.limit = self.again = LOOKED_AT  # operations after which it may end (turns.py)
        self.turns: Any = None  # at which positions, once that was looked at
        self.pinned: int | None = None  # bytes of its inputs, once one is new; see `entries`
        self.begun = False  # whether a parameter has been met where nothing expected one
        self.frame = self.turn = next(_frames)
        self.turned = 0  # inputs that `graph.turn_of` has looked at
        self.ahead: Any = None  # what of the frame's program was begun (ahead.py)

    def forget(self) -> None:
        """Drop all that was seen before."""
        if self.lasting:
            give_back(self.roots.values())
        self.roots.clear()
        self.unsteady.clear()
        self.wanderers.clear()
        self.size = 0
        self.last = END

    def root(self, mode: bool) -> Node:
        """The root of the trie where gradients are recorded, or are not."""
        root = self.roots.get(mode)
        if root is None:
            root = self.roots[mode] = Node(ROOT, (), None)
            root.rec = self
        return root

    def expected(self, root: Node) -> Node:
        """What came after a frame that ended where the last one did, if that has been seen."""
        after: Node = self.last.after
        return after if after.parent is root else root.succ


class _Local(threading.local):
    r: Any = Gate()  # until it is there, and while another thread ends its frame

    def __init__(self) -> None:
        self.r = Recorder(self.__dict__)
        self.dual: Any = None  # the level of dual tensors under way (autograd/forward_ad.py)
        self.pushing = False  # whether a backward pass is half of a forward one (products.py)
        self.multithreading = True  # what a program has set, which has no effect (grad_mode.py)


TLS = _Local()
