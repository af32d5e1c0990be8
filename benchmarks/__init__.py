"""Benchmarks: figures as ratios of one run, never part of the tests."""
