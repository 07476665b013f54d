"""The network of the mini chat model: sizes, tokenizer, and what is added to it in training."""
