"""Search: arguments, query plan, executor, results and pages."""
