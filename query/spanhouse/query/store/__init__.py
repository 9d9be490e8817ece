"""Database connection: driver, cancellation, query limits, the JSON API of a server."""
