"""Whether a picture is a generated one: by the marks in it, by signatures, by data sets that are at hand."""
