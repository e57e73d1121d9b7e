package embedded

import "sluice/entities"

// Text is the SQL of a query.
func Text(q entities.Query) (string, []any, error) { return find(q) }
