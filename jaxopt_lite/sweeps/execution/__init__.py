"""What runs next and where: rounds of orders, segments of chunks, and the executor."""
