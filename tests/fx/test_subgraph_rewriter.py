"""Replacing patterns, against PyTorch."""

from __future__ import annotations

from nn.stored import agrees


@agrees
def test_functions(torch):
    relu, F, trace = torch.relu, torch.nn.functional, torch.fx.symbolic_trace

    def twice(x, w1, w2):
        a, b = torch.cat([w1, w2]).sum(), torch.cat([w1, w2]).sum()
        return x + torch.max(a) + torch.max(b)

    def two(x):
        a = torch.neg(x)
        return relu(a) + torch.abs(a)

    def two_results(x):
        a = torch.neg(x)
        return relu(a), torch.abs(a)

    out = []
    for program, pattern, put in (
        (lambda x: relu(relu(relu(relu(relu(x))))), lambda x: relu(relu(x)), torch.neg),
        (lambda x, y: (relu(x) + relu(x)) * y, lambda x, y: relu(x) * y, lambda x, y: x - y),
        (twice, lambda a, b: torch.cat([a, b]).sum(), lambda a, b: torch.stack([a, b])),
        (
            lambda x: torch.add(x, 1) * torch.add(x, 2),
            lambda x: torch.add(x, 1),
            lambda x: torch.sub(x, 1),
        ),
        (lambda x: F.dropout(x, 0.3) + F.dropout(x), lambda x: F.dropout(x, 0.3), lambda x: x),
        (two, two_results, lambda x: (torch.exp(x), torch.log(x))),
        (lambda x: relu(x), lambda x: relu(x), lambda x: torch.sigmoid(x) + 1),
        (lambda x: x.relu().sum() + x.relu(), lambda x: x.relu(), lambda x: x.clamp(min=0)),
        (lambda x, y: x + y, lambda a, b: a + b, lambda a, b: b + a),
        (lambda x: relu(x) + 1, lambda x: torch.exp(x), lambda x: x),
        (lambda x: torch.add(x, x), lambda x, y: torch.add(x, y), lambda x, y: x * y),
        (lambda x, y: torch.add(x, y), lambda x: torch.add(x, x), lambda x: x * 2),
        (lambda x: torch.add(x, 3), lambda x, y: torch.add(x, y), lambda x, y: torch.sub(x, y)),
    ):
        g = trace(program)
        wanted = (lambda x: torch.neg(x)) if put is torch.neg else put
        matches = torch.fx.replace_pattern(g, pattern, wanted)
        out.append([str(matches), g.code])
        g.graph.lint()
    return out


@agrees
def test_modules(torch):
    nn = torch.nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.act = nn.Linear(2, 2), nn.ReLU()

        def forward(self, x):
            return self.act(self.lin(x)) + 1

    class Pattern(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            return self.act(x)

    class Put(nn.Module):
        def __init__(self):
            super().__init__()
            self.act, self.gelu = nn.ReLU(), nn.GELU()

        def forward(self, x):
            return self.gelu(x)

    g = torch.fx.symbolic_trace(Model())
    torch.fx.replace_pattern(g, Pattern(), Put())
    return [g.code, [name for name, _ in g.named_modules()], g(torch.ones(1, 2))]


@agrees
def test_filters(torch):
    def second(match, graph, pattern):
        return str(list(match.nodes_map.values())[0]) == "relu_1"

    g = torch.fx.symbolic_trace(lambda x: torch.relu(x) + torch.relu(x + 1))
    from importlib import import_module

    rewriter = import_module(torch.fx.__name__ + ".subgraph_rewriter")
    done = rewriter.replace_pattern_with_filters(
        g, lambda x: torch.relu(x), lambda x: torch.neg(x), match_filters=[second]
    )
    return [str([(d.anchor, d.nodes_map, d.replacements) for d in done]), g.code]
