"""The `serve` process: its options, its listeners and pipeline, its start and its stop."""
