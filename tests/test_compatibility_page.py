"""The script that writes the lists of docs/compatibility.md tells what is there and what is not."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def script():
    spec = importlib.util.spec_from_file_location("page", ROOT / "docs" / "make_compatibility.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_missing_names_are_those_that_facula_lacks():
    page = script()
    assert page.missing("torch", ["zeros", "no_such_name"]) == ["no_such_name"]
    assert page.missing("torch.Tensor", ["add_", "grad", "no_such_name"]) == ["no_such_name"]
    assert page.missing("torch.no_such_module", ["a"]) == ["a"]


def test_the_page_has_every_namespace():
    text = (ROOT / "docs" / "compatibility.md").read_text()
    names = json.loads((ROOT / "tests" / "data" / "pytorch_names.json").read_text())
    assert text.count("<!-- list: names -->") == text.count("<!-- end of list -->") == 1
    for namespace in names:
        assert not names[namespace] or f"| `{namespace}` |" in text


def test_names_of_a_list_are_looked_up(tmp_path, monkeypatch, capsys):
    page = script()
    names = tmp_path / "names.txt"
    names.write_text(
        "# programs\nnn.Linear 3\nTensor.view 2\nF.no_such 1\ntorch.utils.data\nTensor.x\n"
    )
    monkeypatch.setattr("sys.argv", ["make_compatibility.py", str(names)])
    page.main()
    assert capsys.readouterr().out.splitlines() == ["F.no_such 1", "Tensor.x"]
