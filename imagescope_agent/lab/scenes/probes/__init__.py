"""Queries that only measure: near misses, wordings that nobody was taught, wishes that nothing fulfils."""
