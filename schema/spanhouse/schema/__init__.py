"""Vocabulary, tables, migrations and maintenance, and the addresses of stores and running servers. Standard library only."""
