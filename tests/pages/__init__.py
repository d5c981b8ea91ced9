"""What the pages say must hold: commands that are understood, code that runs, links that lead somewhere."""
