"""Data sets in the forms that other tools read, a file a form."""
