"""`validate`: what must hold of a data set, one file for each kind of fault."""
