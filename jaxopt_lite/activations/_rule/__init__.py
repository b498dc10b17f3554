"""How a formula becomes an activation: argument checks, derivative rules, what a backward pass keeps."""
