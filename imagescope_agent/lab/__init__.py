"""What makes and measures the product: the drawn world, training, benchmarks, the demonstration, simulators."""
