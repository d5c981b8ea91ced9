"""What a person looks at: rows, the difference of two data sets, the chain behind a row, the report page."""
