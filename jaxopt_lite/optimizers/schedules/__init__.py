"""Schedules: callables of the step count whose numbers are leaves."""
