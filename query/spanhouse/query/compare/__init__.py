"""Comparison of versions: what is asked -> SQL that aggregates in the engine -> statistics -> verdict -> report."""
