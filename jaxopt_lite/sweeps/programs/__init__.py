"""The compiled programs of a sweep: structures of trials, their width and form, tracing and compilation."""
