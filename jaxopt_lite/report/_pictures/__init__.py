"""The pictures of a sweep, their scales and their look."""
