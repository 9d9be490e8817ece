"""Store maintenance: adoption, push, backup, integrity checks, retention, remaking of rows."""
