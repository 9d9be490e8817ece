"""Parts of `spanhouse demo`: the sample repository, its processes, its traffic, its summary."""
