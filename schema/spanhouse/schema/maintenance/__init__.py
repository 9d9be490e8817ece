"""Store maintenance: adoption, push, backup, integrity checks, retention, rows made anew."""
