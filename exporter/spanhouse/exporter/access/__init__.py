"""Credentials control: tokens, TLS certificates, protection against CSRF and DNS rebinding."""
