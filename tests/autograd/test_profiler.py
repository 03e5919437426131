"""PyTorch's first profiler, under its old name; tests/test_profiler.py tests what it does."""

import facula as torch
from facula.autograd import profiler


def test_the_events_of_a_profile_are_of_the_class_that_libraries_name():
    with profiler.profile() as found:
        (torch.ones(4) * 2).sum().item()
    assert isinstance(found, torch.profiler.profile)
    assert isinstance(found.key_averages(), profiler.EventList)
    assert found.table(row_limit=5) == found.key_averages().table(row_limit=5) and str(found)


def test_a_profile_may_be_off():
    with profiler.profile(False, use_device=None, record_shapes=True) as found:
        (torch.ones(4) * 2).sum().item()
    assert found is None


def test_what_the_first_profiler_adds_up():
    with profiler.profile(True) as found:
        (torch.ones(4) * 2).sum().item()
    assert found.function_events == found.events()
    assert found.self_cpu_time_total == found.key_averages().self_cpu_time_total
    assert found.total_average().count == len(found.events())
