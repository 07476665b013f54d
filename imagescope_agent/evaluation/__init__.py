"""Evaluation: data sets, metrics, a resumable runner, significance tests and reports.

`datasets` give queries, relevant images and protocols; `runner` sends the queries to a system and `run_store` keeps
every answer; `aggregate` turns rankings into a score table with the functions of `metrics`; `significance` tests
differences between runs. Graphs are loaded by name.
"""
