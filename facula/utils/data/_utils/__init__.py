"""The parts of a loader: making batches, worker processes, what is sent between processes."""

from __future__ import annotations

from facula.utils.data._utils import collate, fetch, messages, pin_memory, worker

__all__ = ["collate", "fetch", "messages", "pin_memory", "worker"]
