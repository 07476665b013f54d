"""What a chat model's message says: the text that counts, non-answers, typed values."""
