"""Word models of several kinds: recurrent ones with clipped gradients, and an encoder."""

import math

import torch
from torch import nn

WORDS = 40


class RNNModel(nn.Module):
    def __init__(self, kind, tied):
        super().__init__()
        self.encoder = nn.Embedding(WORDS, 16)
        if kind in ("LSTM", "GRU"):
            self.rnn = getattr(nn, kind)(16, 16, 2, dropout=0.2)
        else:
            self.rnn = nn.RNN(16, 16, 2, nonlinearity="tanh", dropout=0.2)
        self.decoder = nn.Linear(16, WORDS)
        if tied:
            self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        self.kind = kind

    def forward(self, input, hidden):
        output, hidden = self.rnn(self.encoder(input), hidden)
        return self.decoder(output).view(-1, WORDS).log_softmax(1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        zero = weight.new_zeros(2, bsz, 16)
        return (zero, weight.new_zeros(2, bsz, 16)) if self.kind == "LSTM" else zero


class TransformerModel(nn.Module):
    def __init__(self):
        super().__init__()
        position = torch.arange(0, 64, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, 16, 2).float() * (-math.log(10000.0) / 16))
        pe = torch.zeros(64, 16)
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe.unsqueeze(1))
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.2)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.encoder = nn.Embedding(WORDS, 16)
        self.decoder = nn.Linear(16, WORDS)

    def forward(self, src):
        mask = torch.log(torch.tril(torch.ones(len(src), len(src))))
        x = self.encoder(src) * math.sqrt(16) + self.pe[: src.size(0)]
        return self.decoder(self.body(x, mask=mask)).log_softmax(-1).view(-1, WORDS)


def repackage_hidden(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


torch.manual_seed(1111)
data = torch.randint(WORDS, (61, 8))
criterion = nn.NLLLoss()
for kind in ("LSTM", "GRU", "RNN_TANH", "Transformer"):
    model = TransformerModel() if kind == "Transformer" else RNNModel(kind, kind == "GRU")
    model.train()
    hidden = None if kind == "Transformer" else model.init_hidden(8)
    for i in range(0, 60, 12):
        x, y = data[i : i + 12], data[i + 1 : i + 13].reshape(-1)
        model.zero_grad()
        if kind == "Transformer":
            output = model(x)
        else:
            hidden = repackage_hidden(hidden)
            output, hidden = model(x, hidden)
        loss = criterion(output, y)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-2.0)
        print(kind, i, loss.item(), float(norm))
