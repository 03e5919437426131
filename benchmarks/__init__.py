"""Facula's speed, memory and start-up beside those of other frameworks: `python -m benchmarks`."""
