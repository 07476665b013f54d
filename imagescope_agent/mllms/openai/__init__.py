"""OpenAI-compatible servers: requests, what a server takes, and what its answers mean."""
