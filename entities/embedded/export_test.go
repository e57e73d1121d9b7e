package embedded

import "sluice/entities"

// TrashedText is the SQL of Trashed.
const TrashedText = trashedText

// Text is the SQL of a query.
func Text(q entities.Query) (string, []any, error) { return find(q) }
