"""Batch normalisation over all processes, of which there is one."""

import pytest

import facula


@pytest.mark.parametrize("tracked", [True, False])
def test_synchronised_statistics_of_one_process(tracked):
    plain = facula.nn.BatchNorm1d(3, track_running_stats=tracked)
    module = facula.nn.SyncBatchNorm.convert_sync_batchnorm(facula.nn.Sequential(plain))
    x = facula.arange(12.0).reshape(4, 3).sin()
    assert type(module[0]) is facula.nn.SyncBatchNorm
    want = facula.nn.BatchNorm1d(3, track_running_stats=tracked)
    assert facula.equal(module(x), want(x))
    if tracked:
        assert facula.equal(module[0].running_var, want.running_var)
    with pytest.raises(ValueError, match="non-zero"):
        module(x[:, :0])
