"""Prices of models, by which costs are computed."""
