"""Outputs of a finished run: tables, the report, submission files, published results to compare with."""
