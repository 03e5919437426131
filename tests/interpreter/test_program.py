"""When a program is compiled."""

import pytest

import facula as torch
from facula.interpreter import program


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """As in a process that has compiled nothing."""
    monkeypatch.setattr(program, "_known", set())


def entries(*results):
    """The entries of pending results."""
    found = program._needed([t.node for t in results])
    torch.synchronize()
    return found


def small(n=1, size=8):
    x = torch.ones(size)
    torch.synchronize()
    for i in range(n):
        x = x * 2 + i
    return x


def test_large_work_is_compiled_at_once():
    a = torch.ones(1500, 1500)
    torch.synchronize()
    assert program._worthwhile(entries(a @ a)) == 0


def test_a_long_trace_of_small_operations_waits():
    """Planning takes time for each operation, though all are alike."""
    x = small(2000)
    assert 2 < program._worthwhile(entries(x)) <= program.MAX_AFTER_LONG


def test_many_kinds_wait_longer_than_one():
    inputs = [torch.ones(9000) for _ in range(60)], [torch.ones(9000 + n) for n in range(60)]
    torch.synchronize()
    one, many = [program._worthwhile(entries(*[x * 2 + 1 for x in xs])) for xs in inputs]
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
    whole = program._worthwhile(entries(conv(x, w)))
    assert 0 < whole < program._worthwhile(entries(conv(x, one, groups=16)))


def test_a_very_small_program_waits_until_compiling_was_spent_on_it():
    assert 300 < program._worthwhile(entries(small())) <= 10_000


@pytest.mark.parametrize("size", [8, 50_000])
def test_the_switch_comes_at_a_fixed_occurrence(monkeypatch, size):
    seen = []
    plain = program.Program.choose

    def choose(self, r):
        chosen = plain(self, r)
        seen.append((self.after, self.runs, chosen is not self))
        return chosen

    monkeypatch.setattr(program.Program, "choose", choose)
    monkeypatch.setattr(program, "_worthwhile", lambda entries: 3)
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
    assert program._worthwhile(entries(x.erf())) == 0 < program._worthwhile(entries(x.exp()))
