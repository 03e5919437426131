"""When a program is compiled."""

import pytest

import facula as torch
from facula.compiler.program import CompiledProgram
from facula.interpreter import program
from facula.trace.recorder import TLS, Recorder


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """As in a process that has compiled nothing."""
    monkeypatch.setattr(program, "_known", set())
    monkeypatch.setattr(program, "_met", set())
    monkeypatch.setattr(program, "_families", {})


def entries(*results):
    """The entries of pending results."""
    found = program._needed([t.node for t in results])
    torch.synchronize()
    return found


def work(*results):
    """What the shapes of pending results say of their work."""
    return program.Work(entries(*results))


def small(n=1, size=8):
    x = torch.ones(size)
    torch.synchronize()
    for i in range(n):
        x = x * 2 + i
    return x


def test_large_work_is_compiled_at_once():
    a = torch.ones(1500, 1500)
    torch.synchronize()
    assert program._worthwhile(work(a @ a)) == 0


def test_a_long_trace_of_small_operations_waits():
    """Planning takes time for each operation, though all are alike."""
    x = small(2000)
    assert 2 < program._worthwhile(work(x)) <= program.MAX_AFTER_LONG


def test_many_kinds_wait_longer_than_one():
    inputs = [torch.ones(9000) for _ in range(60)], [torch.ones(9000 + n) for n in range(60)]
    torch.synchronize()
    one, many = [program._worthwhile(work(*[x * 2 + 1 for x in xs])) for xs in inputs]
    assert one == program.MAX_AFTER < many == program.MAX_AFTER_LONG


def test_what_was_compiled_before_takes_less_to_compile_again(monkeypatch):
    """A step whose loss is read is another program than one whose loss is not."""
    monkeypatch.setattr(program, "MAX_AFTER", 1000)
    monkeypatch.setattr(program, "COMPILE_AFTER", -1)
    seen = []
    plain = program.Program.choose

    def choose(self, r):
        chosen = plain(self, r)
        seen.append((self.after, chosen is not self))
        return chosen

    monkeypatch.setattr(program.Program, "choose", choose)
    x = torch.ones(77_000)
    torch.synchronize()
    for _ in range(1000):
        (x * 2 + 1).sin().sum().item()
        first = seen[-1]
        if first[1]:
            break
    assert first[1] and program._known
    y = (x * 2 + 1).sin()
    total = y.sum()  # both are results: another program
    total.item()
    assert 0 <= seen[-1][0] < first[0]


def test_each_group_of_a_convolution_has_its_own_filters_only(monkeypatch):
    monkeypatch.setattr(program, "MAX_AFTER", 1000)
    x, w, one = torch.ones(4, 16, 32, 32), torch.ones(16, 16, 3, 3), torch.ones(16, 1, 3, 3)
    torch.synchronize()
    conv = torch.nn.functional.conv2d
    whole = program._worthwhile(work(conv(x, w)))
    assert 0 < whole < program._worthwhile(work(conv(x, one, groups=16)))


def test_a_very_small_program_waits_until_compiling_was_spent_on_it():
    assert 300 < program._worthwhile(work(small())) <= 10_000


def test_sizes_that_change_all_the_time_have_kernels_that_take_them(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", -1)
    chosen = []
    plain = program.Program.choose

    def choose(self, r):
        chosen.append(plain(self, r))
        return chosen[-1]

    monkeypatch.setattr(program.Program, "choose", choose)
    inputs = [torch.ones(70_000 + n) for n in range(8)]
    torch.synchronize()

    def form(x):
        (x * 2 + 1).cosh().sum().item()
        return getattr(chosen[-1], "loose", None)

    forms = []
    for x in inputs:
        for _ in range(program.MAX_AFTER_LONG):
            form(x)
        forms.append(form(x))
    assert forms == [False] * program.FEW + [True] * (8 - program.FEW)
    chosen[-1].program.lead.settles = program.MAX_AFTER_LONG + 1
    assert form(x) is False  # this one has been run so often that its size is worth kernels
    assert form(x) is False
    y = torch.ones(70_100)
    torch.synchronize()
    other = (y * 2 + 1).sinh()  # other operations are another family
    assert program._worthwhile(work(other)) <= program.MAX_AFTER


def test_sizes_of_much_work_are_worth_kernels_after_few_runs():
    def runs(*sizes):
        return program._settles(work(torch.ones(sizes[0], 64) @ torch.ones(64, sizes[1])))

    assert runs(8, 8) == program.SETTLED
    assert runs(1 << 12, 1 << 12) < program.MAX_AFTER_LONG < runs(1 << 9, 1 << 9) < 1000


@pytest.mark.parametrize("size", [8, 50_000])
def test_the_switch_comes_at_a_fixed_occurrence(monkeypatch, size):
    seen = []
    plain = program.Program.choose

    def choose(self, r):
        chosen = plain(self, r)
        seen.append((self.after, self.runs, chosen is not self))
        return chosen

    monkeypatch.setattr(program.Program, "choose", choose)
    monkeypatch.setattr(program, "_worthwhile", lambda *_: 3)
    for _ in range(6):
        x = torch.arange(size, dtype=torch.float32)
        torch.synchronize()
        seen.clear()
        (x.sin() * 3).exp().sum().item()
        after, runs, compiled = seen[-1]
        assert after == 3 and compiled == (runs > 3)


def test_what_is_slow_when_interpreted_is_compiled_sooner():
    x = torch.ones(1000, 1000)
    torch.synchronize()
    assert program._worthwhile(work(x.lgamma())) == 0 < program._worthwhile(work(x.exp()))


def network():
    """A few layers and what they learn, initialised and not computed yet."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Linear(5, 3)
    )
    x, y = torch.randn(7, 6), torch.randn(7, 3)
    optimiser = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)

    def step():
        optimiser.zero_grad()
        loss = ((net(x) - y) ** 2).sum()
        loss.backward()
        optimiser.step()
        return loss

    return net, step


def train(steps):
    net, step = network()
    losses = [step() for _ in range(steps)]
    return torch.cat([t.detach().reshape(-1) for t in (*losses, *net.parameters())]).tolist()


def test_a_step_that_is_followed_is_the_step_that_was_recorded(monkeypatch):
    """It has fewer tensors that hold the same values: it is neither planned nor compiled again."""
    made = []
    compile_ = CompiledProgram.__init__

    def counted(self, work, *args):
        made.append(work.lead)
        compile_(self, work, *args)

    monkeypatch.setattr(CompiledProgram, "__init__", counted)
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    expected = train(8)
    assert not made
    monkeypatch.setattr(TLS, "r", Recorder())
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    works = []
    choose = program.Program.choose

    def chosen(self, r):
        out = choose(self, r)
        works.append((self, self.lead, out))
        return out

    monkeypatch.setattr(program.Program, "choose", chosen)
    assert train(8) == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert len(made) == len({id(x) for x in made})
    twins = [(p, out) for p, lead, out in works if p is not lead and out is not p]
    assert twins
    for p, out in twins:  # each hands the values to its own tensors, by the code of all
        assert out.program is p
        assert any([out.memory is other.memory for q, _, other in works if q is p.lead])


def test_first_values_are_computed_before_the_first_step(monkeypatch):
    """The last parameter's would cut the step in two where it is met."""
    ran = []
    choose = program.Program.choose

    def chosen(self, r):
        ran.append([n.op.name for n in self.entries if n.rg])
        return choose(self, r)

    monkeypatch.setattr(program.Program, "choose", chosen)
    _, step = network()
    step()
    torch.synchronize()
    assert [bool(x) for x in ran].count(True) == 1
    assert ran[-1].count("matmul") == 2


def test_the_second_step_of_a_loop_is_like_the_first(monkeypatch):
    """The first one makes the optimiser's state, never comes again and is interpreted. The second
    is another program of the same operations, for which that run counts."""
    monkeypatch.setattr(program, "COMPILE_AFTER", -1)
    monkeypatch.setattr(program, "_worthwhile", lambda *_: 1)
    monkeypatch.setattr(TLS, "r", Recorder())
    seen = []
    choose = program.Program.choose

    def chosen(self, r):
        out = choose(self, r)
        if any([n.rg for n in self.entries]):
            seen.append((self.lead, out is not self))
        return out

    monkeypatch.setattr(program.Program, "choose", chosen)
    _, step = network()
    step(), step()
    torch.synchronize()
    (first, one), (second, other) = seen
    assert first is not second and not one and other


def generations(*runs):
    """A family in which sizes came and went."""
    family = program.Family()
    for n in runs:
        family.succeed()
        for _ in range(n - 1):
            family.ran(family.generation)
    return family


def test_sizes_that_come_and_go_tell_how_long_the_next_one_stays():
    assert generations(5, 5, 5).expected() is None  # the third may stay
    assert generations(9, 5, 5, 6, 2).expected() == 4
    assert generations(5, 5, 5, 9).expected() == 0
    family = generations(5, 5, 5, 1)
    family.ran(family.generation - 1)
    assert family.expected() is None  # it came again


def grown(times, steps, monkeypatch):
    """How many programs were compiled while a layer grew by a column after so many steps."""
    made = []
    plain = CompiledProgram.__init__

    def spy(self, *args):
        made.append(self)
        plain(self, *args)

    monkeypatch.setattr(CompiledProgram, "__init__", spy)
    monkeypatch.setattr(TLS, "r", Recorder())
    x = torch.randn(64, 48)
    for n in range(20, 20 + times):
        w = torch.randn(48, n)
        for _ in range(steps):
            y = (x @ w).sigmoid()
            for _ in range(6):
                y = (y * 1.5 + y.sum(1, keepdim=True)).sigmoid()
            y.sum().item()
    return len(made)


def test_a_network_that_grows_is_not_compiled_for_a_few_steps(monkeypatch):
    """Each size takes as many steps as the one before: compiling it would not pay."""
    few, many = grown(12, 6, monkeypatch), grown(12, 200, monkeypatch)
    assert few <= 6 < 12 <= many
