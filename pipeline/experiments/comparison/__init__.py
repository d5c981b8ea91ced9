"""All systems side by side: each trained on the toy world for a budget, and measured by what it is meant to do."""
