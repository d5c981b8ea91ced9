"""Whether a picture is one that a model made: by the marks in it, by signatures, by data sets that are at hand."""
