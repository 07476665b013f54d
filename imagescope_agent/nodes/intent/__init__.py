"""What a query asks for: instructions, descriptions, chains of thought, references; answers that drift are told."""
