"""Admission control, batching, and the drain from the spool into the store."""
