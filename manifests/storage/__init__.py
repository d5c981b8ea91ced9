"""Whole files on a local disk or in an object store, behind one set of guarantees."""
