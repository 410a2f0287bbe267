"""Benchmarks of the hot path: only ratios are bounds, each taken within one run."""
