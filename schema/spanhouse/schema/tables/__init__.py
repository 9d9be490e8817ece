"""The tables: SQL files, migrations, cluster DDL, verification."""
