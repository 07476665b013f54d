"""Benchmarks: variants measured side by side in one run, so that their ratios hold on any machine."""
