"""Faults on purpose: `python -m tests.chaos` (`make chaos`) breaks what runs, runs it again, and counts every row.

Bounded in count and time, on this machine alone; it ends its processes and removes its files.
"""
