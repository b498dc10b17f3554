"""The table of a sweep: columns, settings with their seeds, comparisons, trained models, exports."""
