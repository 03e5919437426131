"""Native code in memory: called, and given back."""

import ctypes

import pytest

from facula.cpu import jit

ADD = "define i64 @add(i64 %x) {\n  %y = add i64 %x, N\n  ret i64 %y\n}\n"


def call(library, x):
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.addresses["add"])(x)


def test_libraries_do_not_disturb_each_other():
    first = jit.compile_functions(ADD.replace("N", "1"), ["add"])
    second = jit.compile_functions(ADD.replace("N", "20"), ["add"])
    assert (call(first, 5), call(second, 5)) == (6, 25)
    del first
    jit.release()
    assert call(second, 6) == 26


def test_a_library_that_nobody_has_is_given_back():
    jit.release()
    count, size = len(jit._libraries), jit.held()
    library = jit.compile_functions(ADD.replace("N", "3"), ["add"])
    assert len(jit._libraries) == count + 1
    assert jit.held() > size
    parts = library._parts
    del library
    assert (len(jit._libraries), jit.held()) == (count, size)
    assert jit._unused == [parts]  # not in the middle of whatever let it go
    assert not any(p.closed for p in parts)
    jit.compile_functions(ADD.replace("N", "4"), ["add"])
    assert all(p.closed for p in parts)


def test_what_is_not_there_can_not_be_linked():
    with pytest.raises(RuntimeError, match="add"):
        jit.compile_functions(ADD.replace("add(", "other("), ["add"])
    jit.release()
