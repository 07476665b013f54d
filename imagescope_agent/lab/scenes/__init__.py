"""The drawn world: scenes with exact ground truth, their pictures, and what people ask of them."""
