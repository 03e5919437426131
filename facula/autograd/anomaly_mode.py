"""The search for NaN in gradients, where programs look for it."""

from __future__ import annotations

from facula.autograd import detect_anomaly, set_detect_anomaly
from facula.errors import honest

__all__ = ["detect_anomaly", "set_detect_anomaly"]
__getattr__ = honest(__name__)
