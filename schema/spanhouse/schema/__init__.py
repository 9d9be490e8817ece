"""The vocabulary, the tables and their migrations, and how stores and running servers are found. Standard library only."""
