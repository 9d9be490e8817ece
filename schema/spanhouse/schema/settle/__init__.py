"""Settling: merge of the parts of traces into one row per trace."""
