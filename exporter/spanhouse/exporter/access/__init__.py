"""Access control: tokens with rights, TLS certificates, protection against CSRF and DNS rebinding."""
