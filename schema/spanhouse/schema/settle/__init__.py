"""Settling: parts of traces merged into one row per trace."""
