"""Store what PyTorch's operators at its top level give: python tests/generate/native.py

Run with a Python that has torch 2.13; needs nothing of Facula. Expressions see `torch` and tensors
that are the same everywhere: x (4, 6), y (4, 6), w (6, 6), t (4), i (2, 3), of exact numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

OUT = Path(__file__).resolve().parents[1] / "data" / "ops_native.json"
EXPRESSIONS = [
    "torch.adaptive_max_pool1d(x, 2)",
    "torch.max_pool1d_with_indices(x, 2)",
    "torch.affine_grid_generator(x[:2, :6].reshape(2, 2, 3), (2, 1, 2, 2), False)",
    "torch.binary_cross_entropy_with_logits(x, y.sigmoid())",
    "torch.binary_cross_entropy_with_logits(x, y.sigmoid(), None, None, 2)",
    "torch.cosine_embedding_loss(x, y, t.sign(), 0.1, 0)",
    "torch.ctc_loss(x.log_softmax(-1).unsqueeze(1), i[:1, :2] + 1, (4,), (2,), 0, 2)",
    "torch.embedding(w, i)",
    "torch.hinge_embedding_loss(x, y.sign(), 1.0, 2)",
    "torch.instance_norm(x.unsqueeze(0), None, None, None, None, True, 0.1, 1e-5, False)",
    "torch.kl_div(x, y.softmax(-1))",
    "torch.kl_div(x, y, 2, log_target=True)",
    "torch.margin_ranking_loss(x, y, (x - y).sign(), 0.5, 1)",
    "torch.poisson_nll_loss(x, y.abs(), True, True, 1e-8, 1)",
    "torch.triplet_margin_loss(x, y, y.flip(0), 1.0, 2.0, 1e-6, True, 0)",
    "torch.native_channel_shuffle(x.reshape(1, 4, 3, 2), 2)",
    "torch.norm_except_dim(x.reshape(2, 3, 4), 2, 1)",
    "torch.norm_except_dim(x, 2, -1)",
    "torch.feature_dropout(x, 0.5, False)",
    "torch.lstm_cell(x, (y[:, :3], y[:, 3:]), w.repeat(2, 1), w[:, :3].repeat(2, 1))",
    "torch.gru_cell(x, y[:, :2], w, w[:, :2], w[0], w[1])",
    "torch.rnn_tanh_cell(x, y, w, w)",
    "torch.rnn_relu_cell(x, y, w, w, w[0])",
    "torch.selu_(x.clone())",
    "torch.celu_(x.clone(), 0.5)",
    "torch.threshold_(x.clone(), 0.1, 7.0)",
    "torch.rrelu_(x.clone())",
    "torch.dropout_(x.clone(), 0.5, False)",
    "torch.alpha_dropout_(x.clone(), 0.5, False)",
    "torch.as_strided_(x.clone(), (2, 3), (1, 2))",
    "torch.resize_as_(x.clone(), torch.zeros(3, 8))",
    "torch._softmax(x, 1, False)",
    "torch._log_softmax(x, 0, False)",
    "torch._softmax_backward_data(grad_output=y, output=x.softmax(0), dim=0, input_dtype=x.dtype)",
    "torch._log_softmax_backward_data(y, x.log_softmax(1), 1, x.dtype)",
    "x.resize(3, 8)",
    "x.resize_as(torch.zeros(2, 12))",
]


def numbers(torch) -> dict[str, object]:
    """The tensors that expressions see."""
    x = (torch.arange(24) * 37 % 23 - 11).reshape(4, 6) / 8
    y = (torch.arange(24) * 29 % 19 - 9).reshape(4, 6) / 8
    w = (torch.arange(36) * 31 % 17 - 8).reshape(6, 6) / 16
    i = torch.tensor([[0, 2, 5], [1, 1, 3]])
    return {"torch": torch, "x": x, "y": y, "w": w, "t": y[:, 0], "i": i}


def main() -> None:
    """Write tests/data/ops_native.json."""
    out = {}
    for expression in EXPRESSIONS:
        got = eval(expression, numbers(torch))
        parts = got if isinstance(got, tuple) else (got,)
        out[expression] = [t.tolist() for t in parts]
    OUT.write_text(json.dumps(out, indent=0) + "\n")


if __name__ == "__main__":
    main()
