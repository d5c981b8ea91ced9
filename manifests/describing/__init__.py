"""A data set in other people's languages: card, Croissant, in-toto statement."""
