"""Pipes of files."""

from facula.utils.data.datapipes.iter import FileLister, FileOpener


def test_files(tmp_path):
    for name in ("b.txt", "a.txt", "c.dat"):
        (tmp_path / name).write_text(name)
    names = FileLister(str(tmp_path), "*.txt")
    assert [p.rpartition("/")[2] for p in names] == ["a.txt", "b.txt"]
    texts = FileOpener(names, mode="rt").read_from_stream()
    assert [text for _, text in texts] == ["a.txt", "b.txt"]
