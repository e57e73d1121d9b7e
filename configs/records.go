package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// recordTypes are what the LMS keeps, as mongodb.collections names them.
func recordTypes() []string { return []string{"product", "course", "user", "review", "order"} }

var collectionName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,99}$`)

// CollectionNames gives the collections that the LMS calls otherwise, by the type of record.
func (m MongoDB) CollectionNames() map[string]string {
	names := map[string]string{}
	for _, c := range m.Collections {
		if t, name, ok := strings.Cut(c, "="); ok {
			names[strings.TrimSpace(t)] = strings.TrimSpace(name)
		}
	}
	return names
}

func (c *Config) checkRecords() error {
	names := c.MongoDB.CollectionNames()
	seen := map[string]bool{}
	for _, entry := range c.MongoDB.Collections {
		t, _, _ := strings.Cut(entry, "=")
		t = strings.TrimSpace(t)
		if !slices.Contains(recordTypes(), t) || !collectionName.MatchString(names[t]) || strings.HasPrefix(names[t], "system.") {
			return refuse(fmt.Sprintf("mongodb.collections (SLUICE_MONGODB_COLLECTIONS) holds %q, which is no record's type and a collection", entry),
				"write "+strings.Join(recordTypes(), ", ")+" with a collection's name, as in product=items", nil)
		}
		if seen[t] {
			return refuse(fmt.Sprintf("mongodb.collections (SLUICE_MONGODB_COLLECTIONS) names two collections of %s", t), "leave the one that the LMS uses", nil)
		}
		seen[t] = true
	}
	return nil
}
