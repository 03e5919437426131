"""Events and statistics."""

from datetime import datetime, timedelta

import facula
from facula import monitor
from facula.monitor import Aggregation, Event, Stat


def test_events_reach_the_handlers():
    seen = []
    handle = monitor.register_event_handler(seen.append)
    event = Event("step", datetime.now(), {"loss": 0.5})
    monitor.log_event(event)
    monitor.unregister_event_handler(handle)
    monitor.log_event(event)
    assert seen == [event] and facula.monitor is monitor


def test_a_full_window_is_logged():
    seen = []
    handle = monitor.register_event_handler(seen.append)
    every = tuple(Aggregation)
    stat = Stat("time", every, timedelta(hours=1), max_samples=3)
    for value in (1, 2):
        stat.add(value)
    assert (stat.name, stat.count, stat.get()) == ("time", 2, dict.fromkeys(every, 0.0))
    for value in (6, 9):
        stat.add(value)
    made = {"value": 6.0, "mean": 3.0, "count": 3.0, "sum": 9.0, "max": 6.0, "min": 1.0}
    assert stat.count == 0
    assert {a.name.lower(): v for a, v in stat.get().items()} == made
    assert seen[0].name == "torch.monitor.Stat"
    assert seen[0].data == {f"time.{k}": v for k, v in made.items()}
    monitor.unregister_event_handler(handle)


def test_what_is_left_is_logged_at_the_end():
    written = []

    class Writer:
        def add_scalar(self, name, value, walltime):
            written.append((name, value))

    handle = monitor.register_event_handler(monitor.TensorboardEventHandler(Writer()))
    stat = Stat("loss", [Aggregation.MEAN], timedelta(hours=1))
    stat.add(1)
    stat.add(2)
    del stat
    monitor.unregister_event_handler(handle)
    assert written == [("loss.mean", 1.5)]


def test_a_window_that_is_over_is_logged_by_the_next_value():
    stat = Stat("a", [Aggregation.SUM], timedelta(hours=1))
    stat.add(1)
    stat._end = datetime.min
    stat.add(4)
    assert stat.get() == {Aggregation.SUM: 1.0} and stat.count == 1
