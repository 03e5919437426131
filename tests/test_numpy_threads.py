import os
import subprocess
import sys

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
