"""Hostile input: `python -m tests.fuzz` (`make fuzz`) feeds every reader of what strangers write with generated cases.

Cases are Hypothesis strategies: mutated valid files and grammars. Each target runs in a process of its own with a limit
on memory, so that a crash, a hang or a flood of memory is a finding and not the end.
"""
