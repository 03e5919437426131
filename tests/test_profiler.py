"""The profiler: kernels with what they do, regions, schedules, files."""

import json

import pytest

import facula as torch
from facula import profiler
from facula.interpreter import program


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


def work():
    torch.synchronize()
    x = torch.ones(16, 32)
    y = (x @ torch.ones(32, 8)).tanh()
    torch.synchronize()
    return y


def test_kernels_and_what_they_do():
    with profiler.profile(activities=[profiler.ProfilerActivity.CPU]) as p:
        work()
    (row,) = [r for r in p.key_averages() if "matmul" in r.kernel.name]
    assert row.kernel.name == "matmul+tanh"
    assert row.kernel.shape == (16, 8)
    assert row.kernel.operations == 2 * 16 * 32 * 8 + 16 * 8
    assert row.kernel.bytes >= 4 * (16 * 32 + 32 * 8 + 16 * 8)
    assert row.calls == 1 and row.seconds > 0
    text = p.key_averages().table(sort_by="cpu_time_total", row_limit=10)
    assert "matmul+tanh" in text and "16x8" in text


def test_nothing_is_followed_outside():
    with profiler.profile() as p:
        pass
    work()
    assert not p.events()


def test_results_are_the_same_while_followed():
    alone = work()
    with profiler.profile():
        followed = work()
    assert torch.equal(alone, followed)


def test_regions():
    with profiler.profile() as p, profiler.record_function("mine"):
        work()
    (event,) = [e for e in p.events() if e.category == "region"]
    assert event.kernel.name == "mine" and event.seconds > 0
    with profiler.record_function("unheard"):
        work()


def test_interpreted_steps_have_events():
    with profiler.profile() as p:
        x = torch.ones(4, 4) @ torch.ones(4, 4)
        y = torch.linalg.svdvals(x * 2) + 1
        y.tolist()
    assert any(e.category == "step" for e in p.events())


def test_schedule():
    plan = profiler.schedule(wait=1, warmup=1, active=2, repeat=1, skip_first=1)
    names = [plan(i).name for i in range(7)]
    assert names == [
        *("NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE", "NONE"),
    ]
    seen = []
    with profiler.profile(
        schedule=profiler.schedule(wait=1, warmup=1, active=2),
        on_trace_ready=lambda p: seen.append(len(p.events())),
    ) as p:
        for _ in range(8):
            work()
            p.step()
    assert len(seen) == 2 and seen[0] == seen[1] > 0


def test_timeline_file(tmp_path):
    with profiler.profile(on_trace_ready=profiler.tensorboard_trace_handler(str(tmp_path))):
        work()
    (path,) = tmp_path.iterdir()
    events = json.loads(path.read_text())["traceEvents"]
    assert {"matmul+tanh"} <= {e["name"] for e in events}
    assert all(e["ph"] == "X" and e["dur"] >= 0 for e in events)


def test_rows_and_events_by_their_names_in_pytorch():
    with profiler.profile() as p, profiler.record_function("mine"):
        work()
    found = p.key_averages()
    row = max(found, key=lambda r: r.self_cpu_time_total)
    assert row.count == row.calls and row.key == row.kernel.name != "mine"
    assert row.cpu_time_total == row.self_cpu_time_total == row.seconds * 1e6
    assert row.cpu_time == row.cpu_time_total / row.count
    (mine,) = [r for r in found if r.key == "mine"]
    assert mine.self_cpu_time_total == 0 < mine.cpu_time_total
    total = found.total_average()
    assert total.count == sum([r.count for r in found]) - 1 and total.key == "Total"
    assert total.self_cpu_time_total == pytest.approx(found.self_cpu_time_total)
    assert found[0] in list(found) and str(found) == found.table()
    event = p.events()[0]
    assert event.name == event.key == event.kernel.name
    assert event.time_range.elapsed_us() == pytest.approx(event.cpu_time_total)
