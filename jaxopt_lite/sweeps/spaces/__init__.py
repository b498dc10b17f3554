"""What may vary, and the trials at its points."""
