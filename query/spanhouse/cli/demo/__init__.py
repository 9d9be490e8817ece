"""The demo: a real application at two commits, and the question which one is worse."""
