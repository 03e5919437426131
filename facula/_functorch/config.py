"""Settings that programs make: remembered, with no effect."""

from __future__ import annotations

enable_autograd_cache = True
activation_memory_budget = 1.0
functionalize_rng_ops = False
donated_buffer = True
