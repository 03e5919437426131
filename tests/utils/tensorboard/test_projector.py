"""The projector's files: what PyTorch's writer makes of the same vectors."""

from __future__ import annotations

import pytest

import facula
from facula.utils.tensorboard import SummaryWriter


def test_vectors_labels_and_pictures(tmp_path):
    vectors = facula.tensor([[0.0, 0.5], [1.0, -2.0]])
    with SummaryWriter(tmp_path) as w:
        w.add_embedding(vectors, ["a", "b"], facula.ones(2, 1, 2, 3), 3, "x/y")
        w.add_embedding(vectors, [["a", 1], ["b", 2]], metadata_header=["name", "n"])
    own = tmp_path / "00003" / "x%2fy"
    assert (own / "tensors.tsv").read_text() == "0.0\t0.5\n1.0\t-2.0\n"
    assert (own / "metadata.tsv").read_text() == "a\nb\n"
    assert (own / "sprite.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "00000/default/metadata.tsv").read_text() == "name\tn\na\t1\nb\t2\n"
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("embeddings {") == 2
    assert 'tensor_path: "00003/x%2fy/tensors.tsv"' in config
    assert "single_image_dim: 3 single_image_dim: 2" in config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((facula.zeros(3),), "mat should be 2D"),
        ((facula.zeros(3, 2), ["a"]), "#labels"),
        ((facula.zeros(3, 2), None, facula.zeros(1, 3, 2, 2)), "#images"),
        ((facula.zeros(1, 2), [["a"]], None, 0, "t", ["x", "y"]), "len of header"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, arguments, message):
    with SummaryWriter(tmp_path) as w, pytest.raises(AssertionError, match=message):
        w.add_embedding(*arguments)
