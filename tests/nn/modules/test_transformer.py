"""Encoders give what PyTorch gives, for padding in inference too."""

import warnings

import pytest
from nn.stored import agrees

import facula

PADDING = [[False, False, False, False], [False, False, True, True], [False, True, True, True]]


def encoder(torch, norm=False, layers=1, **options):
    """A small encoder and its input."""
    torch.manual_seed(3)
    layer = torch.nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.nn.TransformerEncoder(layer, layers, torch.nn.LayerNorm(4) if norm else None)
    return module, torch.arange(48.0).reshape(3, 4, 4).cos()


@agrees
def test_outputs_of_padding_are_zero_in_inference(torch):
    out = {}
    padding = torch.tensor(PADDING)
    for norm in (False, True):
        module, x = encoder(torch, norm=norm, activation="gelu")
        out[f"training {norm}"] = module(x, src_key_padding_mask=padding)
        module.eval()
        out[f"with gradients {norm}"] = module(x, src_key_padding_mask=padding)
        with torch.no_grad():
            out[f"inference {norm}"] = module(x, src_key_padding_mask=padding)
            out[f"floats {norm}"] = module(x, src_key_padding_mask=padding.float() * -1e30)
            out[f"on the left {norm}"] = module(x, src_key_padding_mask=padding.flip(1))
            causal = torch.nn.Transformer.generate_square_subsequent_mask(4)
            out[f"masked {norm}"] = module(x, causal, src_key_padding_mask=padding.float() * -1e30)
    return out


@agrees
def test_other_layers_compute_the_padding(torch):
    out = []
    padding = torch.tensor(PADDING)
    for options in ({"norm_first": True}, {"activation": torch.nn.functional.silu}):
        module, x = encoder(torch, **options)
        with torch.no_grad():
            out.append(module.eval()(x, src_key_padding_mask=padding))
    module, x = encoder(torch)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            out.append(module.eval()(x, src_key_padding_mask=padding))
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return out


@agrees
def test_an_encoder_says_why_it_computes_the_padding(torch):
    texts = []
    layer = torch.nn.TransformerEncoderLayer
    for made in (
        lambda: layer(4, 2),
        lambda: layer(4, 2, batch_first=True),
        lambda: layer(3, 3, batch_first=True),
        lambda: layer(4, 2, batch_first=True, norm_first=True),
        lambda: layer(4, 2, batch_first=True, bias=False),
        lambda: layer(4, 2, batch_first=True, activation=torch.tanh),
    ):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            module = torch.nn.TransformerEncoder(made(), 1)
        texts.append([module.use_nested_tensor, [str(w.message) for w in found]])
    return texts


def test_a_mask_with_gaps_is_computed():
    module, x = encoder(facula)
    gaps = facula.tensor([[False, True, False, False]] * 3)
    with facula.no_grad():
        assert not (module.eval()(x, src_key_padding_mask=gaps)[:, 1] == 0).all()
    module.mask_check = False
    with facula.no_grad():
        assert (module(x, src_key_padding_mask=gaps)[:, 1] == 0).all()


@pytest.mark.parametrize("training", [True, False])
def test_layers_of_an_empty_batch(training):
    layer = facula.nn.TransformerEncoderLayer(16, 4, batch_first=True).train(training)
    assert layer(facula.rand(0, 5, 16)).shape == (0, 5, 16)
    attention = facula.nn.MultiheadAttention(16, 4).train(training)
    q, k = facula.rand(5, 0, 16), facula.rand(3, 0, 16)
    for need_weights in (True, False):
        assert attention(q, k, k, need_weights=need_weights)[0].shape == (5, 0, 16)
