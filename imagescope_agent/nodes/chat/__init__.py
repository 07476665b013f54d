"""Nodes of conversations: parse the message, update the dialogue state, ask a clarifying question."""
