"""The words of a row: columns, kinds of data sets, names, soft labels, terms, the keypoint layout."""
