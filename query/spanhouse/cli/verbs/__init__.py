"""Verbs of the command, one module each."""
