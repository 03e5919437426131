"""Facula against the stored results of PyTorch, and the list of what does not pass yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from conformance import expectations

import facula

RESULT = expectations.HERE / "result.json"  # not committed; `update.py --from` reads it


@pytest.mark.conformance
def test_the_list_is_up_to_date(tmp_path, show_totals):
    """Every operation of the data, about a minute or more on two cores."""
    folder = Path(facula.__file__).parents[1]
    listed = expectations.read_list(expectations.LIST.read_text(encoding="utf-8"))
    result = expectations.run_checker("facula", RESULT, folder=folder)

    def rerun(ops: list[str]) -> expectations.Result:
        out = tmp_path / "again.json"
        return expectations.run_checker("facula", out, folder=folder, only=ops, procs=1)

    result = expectations.settle(result, listed, rerun)
    show_totals(expectations.summary(result))
    changes = expectations.differences(listed, expectations.measure(result), result["ops"])
    if changes:
        pytest.fail(
            f"tests/conformance/{expectations.LIST.name} is not up to date. What an operation "
            "gained belongs out of the list; what it lost is a fault to mend, or has a reason to "
            "write down. Edit the lines below, or run\n"
            "    python tests/conformance/update.py --from tests/conformance/result.json\n\n"
            + "\n".join(changes),
            pytrace=False,
        )


def test_every_reason_is_given():
    """The file can be read, is in order, and names operations that exist."""
    text = expectations.LIST.read_text(encoding="utf-8")
    listed = expectations.read_list(text)
    assert expectations.write_list(listed.values()) == text
    known = {p.stem for p in expectations.DATA.glob("*.zip")}
    assert set(listed) <= known
