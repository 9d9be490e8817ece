"""Measurements, each run by `make bench`. CPU time and ratios; no test asserts them."""
