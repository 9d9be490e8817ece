"""The `serve` process: options, listeners, pipeline, start and stop."""
