"""The words of messages: what they name, exclude, misspell, and what was taken up of them."""
