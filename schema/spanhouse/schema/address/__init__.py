"""Addresses: store DSNs, the embedded engine's options, running servers."""
