"""Sources of metadata: environment, CI systems, entry point, distribution, build stamp."""
