import pytest

from facula.distributed.elastic.multiprocessing.errors import record


@record
def divided(a, b=1):
    """What it does."""
    return a / b


def test_record_leaves_a_function_as_it_is():
    assert divided(4, b=2) == 2
    assert divided.__doc__ == "What it does."
    with pytest.raises(ZeroDivisionError):
        divided(1, 0)
