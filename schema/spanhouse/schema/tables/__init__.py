"""Tables: SQL files, migrations, cluster DDL, verification."""
