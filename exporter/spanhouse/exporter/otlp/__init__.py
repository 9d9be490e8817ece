"""OTLP requests: validation, truncation, UTF-8 repair, JSON encoding."""
