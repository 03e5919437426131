"""What PyTorch makes of random programs and of short ones, for tests/fuzz/test_fuzz.py.

python tests/generate/fuzz_programs.py    # with PyTorch; writes tests/data/fuzz.json.gz and
                                          # tests/data/fuzz_found.json
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
from fuzz import found, programs  # noqa: E402
from fuzz.compare import Oracle  # noqa: E402

OUT = TESTS / "data" / "fuzz.json.gz"
FOUND = TESTS / "data" / "fuzz_found.json"
COUNT = 200


def main() -> None:
    """Write the file: programs that have a right answer, and PyTorch's reports of them."""
    oracle = Oracle(sys.executable)  # a process of its own, because PyTorch dies on some
    kept: list[dict] = []
    seed = 0
    while len(kept) < COUNT:
        program = programs.make(seed)
        seed += 1
        report = oracle.run(program)
        if report["spoilt"] is None:
            kept.append({"program": program, "report": report})
    stored = {n: oracle.run(found.program(text)) for n, text in found.FOUND.items()}
    FOUND.write_text(json.dumps(stored, indent=0) + "\n")
    oracle.process.kill()
    text = json.dumps(kept, separators=(",", ":"))
    with open(OUT, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(text.encode())


if __name__ == "__main__":
    main()
