"""Timing statements, and tables of the times.

Source: https://docs.pytorch.org/docs/stable/benchmark_utils.html
"""

from __future__ import annotations

from facula.errors import honest
from facula.utils.benchmark.compare import Compare
from facula.utils.benchmark.measurement import Measurement, TaskSpec, select_unit, trim_sigfig
from facula.utils.benchmark.timer import Timer, timer

__all__ = ["Compare", "Measurement", "TaskSpec", "Timer", "select_unit", "timer", "trim_sigfig"]

__getattr__ = honest(__name__)
