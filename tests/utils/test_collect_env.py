"""What is said of the machine in a report."""

from __future__ import annotations

import numpy as np

from facula import cuda, version
from facula.utils import collect_env


def test_it_says_what_is_there(capsys):
    collect_env.main()
    rows = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert rows["Facula"] == version.FACULA and rows["NumPy"] == np.__version__
    assert rows["CUDA"] == ("yes" if cuda.is_available() else "no")
    assert rows["Vectors"] in ("AVX512", "AVX2", "DEFAULT")
