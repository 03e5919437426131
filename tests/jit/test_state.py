from facula.jit import _state


def test_whether_torchscript_is_on(monkeypatch):
    assert _state._enabled and _state.EnabledProxy().enabled
    monkeypatch.setenv("PYTORCH_JIT", "0")
    assert not _state.EnabledProxy()
