package embedded_test

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"testing"

	"sluice/entities"
	"sluice/entities/embedded"
	"sluice/entities/entitiestest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	entitiestest.Run(t, open)
}

func open(t testing.TB) entitiestest.Place {
	path := filepath.Join(t.TempDir(), "entities.db")
	again := func(t testing.TB) entities.Driver { return driver(t, path) }
	return entitiestest.Place{
		Driver: driver(t, path), Again: again,
		Foreign: func(t testing.TB, k entities.Key, set map[string]any) { foreign(t, path, k, set) },
	}
}

func driver(t testing.TB, path string) *embedded.Driver {
	t.Helper()
	d, err := embedded.Open(t.Context(), path, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// foreign writes by SQL alone.
func foreign(t testing.TB, path string, k entities.Key, set map[string]any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	patch, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	// json_patch is RFC 7396: null removes a member.
	if _, err := db.ExecContext(t.Context(), `INSERT INTO records (trash, type, id, created_at, updated_at, buried_at, pending, listed, owner, doc)
		VALUES (0, $1, $2, 0, 0, 0, 0, 1, '', $3)
		ON CONFLICT DO UPDATE SET doc = json_patch(doc, $3)`, string(k.Type), k.ID, string(patch)); err != nil {
		t.Fatal(err)
	}
}
