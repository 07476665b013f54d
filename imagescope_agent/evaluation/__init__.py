"""Evaluation: data sets, metrics, a resumable runner, statistics and reports.

The way through: `datasets` say what is asked and what counts as right, `runner` asks a graph and keeps every
answer, `scoring` turns rankings into figures with the functions of `metrics`, `significance` says which
differences are real. A graph is reached by its name only.
"""
