"""SQL generation: predicates, orders and pages as statements with bound parameters, and rows as models."""
