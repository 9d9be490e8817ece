"""Prices of models, for the computation of costs."""
