"""Comparison of versions: question -> SQL that aggregates in the engine -> statistics -> verdict -> report."""
