"""Random programs that go round: the body of a loop, whose numbers, slices, dtypes and branches
depend on the turn `t`.

What a turn records is followed in the next as far as the two agree, which is where these differ
from programs of one pass. A body is the steps of a program of another kind; turns are written out,
one statement a step, so that a program can be shortened like any other.
"""

from __future__ import annotations

import random
import re

from fuzz import programs, usual

# A number that stands alone, and the end of a slice.
NUMBER = re.compile(r"(?<![\w.\[])\d+\.\d+(?![\w.\]])")
END = re.compile(r":([12])(?=[\],])")
SIMPLE = re.compile(r"(v\d+|out\(|torch\.)")
# What keeps values from growing without bound, or shrinking to nothing, over the turns.
BETWEEN = [
    "with torch.no_grad(): {x}.clamp_(-2, 2)",
    "{x} = {x}.detach().clamp(-2, 2)",
    "{x} = {x}.detach().clamp(-2, 2).requires_grad_()",
    "{x} = {x}.clamp(-2, 2)",
    "{x} = {x}.to((torch.float64, torch.float32)[t % 2])",
    "{x}.grad = None",
    "({x} * {x}).sum().backward()",
]


def make(seed: int) -> dict:
    """The program of a seed."""
    r = random.Random(seed)
    made = r.choice((programs, programs, usual)).make(seed)
    begin = r.randint(0, max(0, len(made["steps"]) - 12))
    # What comes before has the names that the body uses.
    before, body = made["steps"][:begin], made["steps"][begin : begin + r.randint(3, 12)]
    names = sorted({n for s in made["bases"] for n in re.findall(r"^v\d+", s)})
    for _ in range(r.randint(0, 2)):
        body.insert(r.randint(0, len(body)), r.choice(BETWEEN).format(x=r.choice(names)))
    body = [_varied(s, r, names) for s in body]
    steps = list(before)
    for t in range(r.randint(3, 9)):
        steps += [f"t = {t}", *body]
    return {"seed": seed, "bases": made["bases"], "steps": steps}


def _varied(step: str, r: random.Random, names: list[str]) -> str:
    """A statement of the body, which may depend on the turn."""
    if not any(w in step for w in ("tensor(", "dropout")) and r.random() < 0.4:
        step = NUMBER.sub(lambda m: f"({m[0]} + 0.25 * t)", step, count=1)
    if r.random() < 0.2:
        step = END.sub(lambda m: f":{m[1]} - t % {int(m[1]) + 1}", step, count=1)
    if SIMPLE.match(step) and r.random() < 0.25:
        turn = f"t % {r.choice((2, 3, 4))} == {r.randint(0, 1)}"
        seen = f"{r.choice(names)}.sum().item() > 0"
        return f"if {r.choice((turn, turn, 't > 2', seen))}: {step}"
    return step
