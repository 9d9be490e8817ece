"""SQL generation: statements with bound parameters for predicates, orders and pages; conversion of rows to models."""
