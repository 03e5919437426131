"""The losses of the programs in tests/programs/scripts, and what they print, under PyTorch.

python tests/generate/programs.py [name ...]    # with PyTorch; writes tests/data/programs.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "programs"))
from compare import numbers, run  # noqa: E402

OUT = TESTS / "data" / "programs.json"


def main() -> None:
    """Write the file: all programs, or those that are named anew."""
    found = json.loads(OUT.read_text()) if sys.argv[1:] else {}
    for script in sorted((TESTS / "programs" / "scripts").glob("*.py")):
        if sys.argv[1:] and script.stem not in sys.argv[1:]:
            continue
        options = argparse.Namespace(
            script=str(script),
            arguments=[],
            steps=0,
            seed=0,
            dropout=False,
            double=False,
            path=[],
            timeout=600,
        )
        done = run([sys.executable], options, read=True)
        assert done.status == 0, done.error
        found[script.stem] = {"losses": done.losses, "printed": numbers(done.output)}
    OUT.write_text(json.dumps(dict(sorted(found.items())), indent=0) + "\n")


if __name__ == "__main__":
    main()
