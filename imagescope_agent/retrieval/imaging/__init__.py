"""Image files as untrusted input: found, recognised, decoded and rendered as any viewer shows them."""
