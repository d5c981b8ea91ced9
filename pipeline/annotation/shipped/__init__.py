"""How the two small annotators that ship were trained and are measured."""
