"""PyTorch's first profiler, under its old name; tests/test_profiler.py tests what it does."""

import facula as torch
from facula.autograd import profiler


def test_the_events_of_a_profile_are_of_the_class_that_libraries_name():
    with profiler.profile() as found:
        (torch.ones(4) * 2).sum().item()
    assert profiler.profile is torch.profiler.profile
    assert isinstance(found.key_averages(), profiler.EventList)
