import os
import subprocess
import sys

import pytest

from facula import numpy_threads

SHOW = """
import os
{before}
seen = []
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            seen.append(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
sys = __import__("sys")
sys.meta_path.insert(0, Finder())
import facula
print(seen, os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
"""


def shown(before="", **environment):
    env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_THREAD_TIMEOUT"}
    code = SHOW.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", code], env=env | environment, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_numpy_is_loaded_with_threads_that_sleep_and_the_environment_is_as_it_was():
    assert shown() == "['15'] None"


def test_what_the_environment_says_stays():
    assert shown(OPENBLAS_THREAD_TIMEOUT="20") == "['20'] 20"


def test_a_numpy_that_is_there_stays():
    assert shown("import numpy") == "[] None"


PRODUCTS = """
import facula
from facula import numpy_threads
from facula.numpy_threads import matmul, numpy as np
get, set_to = numpy_threads._controls()
set_to(3)
seen = []
class Seen:
    def matmul(self, a, b, out=None):
        seen.append(get())
        return np.matmul(a, b, out=out)
numpy_threads.numpy = Seen()
few, many = np.ones((64, 32)), np.ones((300, 300))
(n,) = set(matmul(few, few.T).ravel())
assert n == 32
matmul(many, many)
facula.set_num_threads(2)
out = np.empty((300, 300))
assert matmul(many, many, out=out) is out
facula.set_num_threads(1)
matmul(many, many)
try:
    matmul(few, many)
except ValueError:
    print(seen, get())
"""


@pytest.mark.skipif(numpy_threads._controls() is None, reason="NumPy has another library")
def test_small_products_have_one_thread_and_others_as_many_as_are_allowed():
    env = {k: v for k, v in os.environ.items() if "THREADS" not in k}
    code = [sys.executable, "-c", PRODUCTS]
    done = subprocess.run(code, env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    assert done.stdout.strip() == "[1, 3, 2, 1, 1] 3"
