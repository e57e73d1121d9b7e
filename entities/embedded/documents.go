package embedded

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/entities"
	"sluice/media"
)

// Find reads rows by the index that fits.
func (d *Driver) Find(ctx context.Context, q entities.Query) ([]entities.Document, error) {
	text, args, err := find(q)
	if err != nil {
		return nil, err
	}
	s, err := d.statement(ctx, text)
	if err != nil {
		return nil, translate(err)
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var found []entities.Document
	for rows.Next() {
		doc, err := scan(rows)
		if err != nil {
			return nil, translate(err)
		}
		found = append(found, doc)
	}
	return found, translate(rows.Err())
}

// find builds the text of a query. Texts differ by what is asked, never by values.
func find(q entities.Query) (string, []any, error) {
	args := []any{string(q.Type)}
	var where strings.Builder
	and := func(condition string, values ...any) {
		where.WriteString(" AND ")
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		where.WriteString(condition)
	}
	if q.IDs != nil {
		list, err := json.Marshal(q.IDs)
		if err != nil {
			return "", nil, fmt.Errorf("entities embedded: %w", err)
		}
		and("id IN (SELECT value FROM json_each(?))", string(list))
	}
	if q.Lesson != "" {
		and("id IN (SELECT course FROM lessons WHERE lesson = ?)", q.Lesson)
	}
	if q.Owner != "" {
		and("owner = ?", q.Owner)
	}
	if q.Category != "" {
		and("category = ?", q.Category)
	}
	if q.Listed {
		and("listed = 1")
	}
	by, among := "created_at", "trash = 0 AND pending = 0"
	if q.Trash {
		by, among = "buried_at", "trash = 1"
	}
	if q.After != nil {
		at, _ := q.After.CreatedAt.(time.Time)
		and("("+by+", id) < (?, ?)", at.UnixMilli(), q.After.ID)
	}
	if q.IDs != nil || q.Lesson != "" {
		by = "+created_at" // not by the index on it: that would walk all records for the few with these ids
	}
	args = append(args, int64(q.Limit))
	return "SELECT " + columns + " FROM records WHERE " + among + " AND type = $1" + where.String() +
		" ORDER BY " + by + " DESC, id DESC LIMIT $" + strconv.Itoa(len(args)), args, nil
}

const trashedText = "SELECT type, id FROM records WHERE trash = 1 AND buried_at < $1 ORDER BY buried_at, type, id LIMIT $2"

// Trashed reads the index of the trash.
func (d *Driver) Trashed(ctx context.Context, before time.Time, limit int) ([]media.Subject, error) {
	s, err := d.statement(ctx, trashedText)
	if err != nil {
		return nil, translate(err)
	}
	rows, err := s.QueryContext(ctx, before.UnixMilli(), int64(limit))
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var found []media.Subject
	for rows.Next() {
		var s media.Subject
		if err := rows.Scan(&s.Type, &s.ID); err != nil {
			return nil, translate(err)
		}
		found = append(found, s)
	}
	return found, translate(rows.Err())
}

// Write reads, asks change, and writes provided the row still holds the same text: only other processes can have changed it meanwhile.
func (d *Driver) Write(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
	select {
	case d.writing <- struct{}{}:
		defer func() { <-d.writing }()
	case <-ctx.Done():
		return entities.Document{}, ctx.Err()
	}
	for {
		there, err := d.there(ctx, k)
		if err != nil {
			return entities.Document{}, err
		}
		next, err := change(there)
		if err != nil {
			return entities.Document{}, err
		}
		if next == there {
			if there == nil {
				return entities.Document{}, nil
			}
			return *there, nil
		}
		after, done, err := d.swap(ctx, k, there, next)
		if done || err != nil {
			return after, translate(err)
		}
	}
}

func (d *Driver) there(ctx context.Context, k entities.Key) (*entities.Document, error) {
	doc, err := d.Get(ctx, k)
	if errors.Is(err, media.NotFound) {
		return nil, nil
	}
	return &doc, err
}

// swap puts next in the place of there, either of which may be nil; done is false when that is not there any more.
func (d *Driver) swap(ctx context.Context, k entities.Key, there, next *entities.Document) (after entities.Document, done bool, err error) {
	err = d.change(ctx, func(tx *sql.Tx) error {
		old := "" // no document's text
		if there != nil {
			old, _ = there.Raw.(string)
		}
		var result sql.Result
		var err error
		if next == nil {
			result, err = tx.ExecContext(ctx, "DELETE FROM records WHERE trash = $1 AND type = $2 AND id = $3 AND doc = $4", trash(k), string(k.Type), k.ID, old)
		} else {
			after, result, err = put(ctx, tx, k, *next, old)
		}
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if done = n == 1; err != nil || !done {
			return err
		}
		if next == nil {
			return keepLessons(ctx, tx, k, nil)
		}
		return keepLessons(ctx, tx, k, after.Fields)
	})
	if err != nil || !done {
		return entities.Document{}, false, err
	}
	return after, true, nil
}

// put writes a row over the one with the text old, or a new one when old is "".
func put(ctx context.Context, tx *sql.Tx, k entities.Key, doc entities.Document, old string) (entities.Document, sql.Result, error) {
	doc.ID = k.ID
	text, err := encode(doc.Fields)
	if err != nil {
		return entities.Document{}, nil, err
	}
	created, updated, buried := doc.CreatedAt().UnixMilli(), doc.UpdatedAt().UnixMilli(), int64(0)
	if !doc.BuriedAt.IsZero() {
		buried = doc.BuriedAt.UnixMilli()
	}
	args := []any{
		created, updated, buried, truth(doc.Fields[entities.PendingMember] != nil), truth(entities.Published(doc)), entities.OwnerOf(k.Type, doc), text,
		trash(k), string(k.Type), k.ID,
	}
	var result sql.Result
	if old == "" {
		if _, err := tx.ExecContext(ctx, "INSERT INTO touched (one) VALUES (1) ON CONFLICT DO NOTHING"); err != nil {
			return entities.Document{}, nil, err
		}
		result, err = tx.ExecContext(ctx, `INSERT INTO records (created_at, updated_at, buried_at, pending, listed, owner, doc, trash, type, id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`, args...)
	} else {
		result, err = tx.ExecContext(ctx, `UPDATE records SET created_at = $1, updated_at = $2, buried_at = $3, pending = $4, listed = $5, owner = $6, doc = $7
			WHERE trash = $8 AND type = $9 AND id = $10 AND doc = $11`, append(args, old)...)
	}
	if err != nil {
		return entities.Document{}, nil, err
	}
	after, err := decode(k.ID, text, created, updated, buried)
	return after, result, err
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// keepLessons notes the lessons of a course in the place of those it had.
func keepLessons(ctx context.Context, tx *sql.Tx, k entities.Key, fields map[string]any) error {
	if k.Type != media.Course || k.Trash {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM lessons WHERE course = $1", k.ID); err != nil {
		return err
	}
	for _, m := range list(fields["modules"]) {
		for _, l := range list(object(m)["lessons"]) {
			id, ok := object(l)["_id"].(string)
			if !ok {
				continue
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO lessons (lesson, course) VALUES ($1, $2) ON CONFLICT DO NOTHING", id, k.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

type row interface{ Scan(dest ...any) error }

func scan(r row) (entities.Document, error) {
	var id, text string
	var created, updated, buried int64
	if err := r.Scan(&id, &text, &created, &updated, &buried); err != nil {
		return entities.Document{}, err
	}
	return decode(id, text, created, updated, buried)
}

func decode(id, text string, created, updated, buried int64) (entities.Document, error) {
	reader := json.NewDecoder(strings.NewReader(text))
	reader.UseNumber()
	fields := map[string]any{}
	if err := reader.Decode(&fields); err != nil {
		return entities.Document{}, fmt.Errorf("entities embedded: the document %s: %w", id, err)
	}
	for k, v := range fields {
		fields[k] = numbers(v)
	}
	var since time.Time
	if buried != 0 {
		since = time.UnixMilli(buried).UTC()
	}
	return entities.Document{
		BuriedAt: since, ID: id, Fields: fields, Version: entities.VersionOf(time.UnixMilli(updated), []byte(text)),
		Position: entities.Position{CreatedAt: time.UnixMilli(created).UTC(), ID: id}, Raw: text,
	}, nil
}

// numbers gives numbers their kind again, in place: those with a point or an exponent are float64, the others int64.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return nil // not written by this package
		}
		return f
	case []any:
		for i, e := range v {
			v[i] = numbers(e)
		}
	case map[string]any:
		for k, e := range v {
			v[k] = numbers(e)
		}
	}
	return v
}

// encode gives the JSON of a document: members in order, so that the same content has the same bytes.
func encode(fields map[string]any) (string, error) {
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	if err := w.Encode(plain(fields)); err != nil {
		return "", fmt.Errorf("entities embedded: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// plain turns what JSON lacks into what it has: times into texts, and whole float64 into numbers with a point.
func plain(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(entities.TimeLayout)
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		return json.Number(text)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = plain(e)
		}
		return out
	}
	return v
}
