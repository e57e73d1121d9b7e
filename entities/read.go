package entities

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"sluice/media"
)

// Record gives an entity; that of a lesson is its course's. A page has none.
func (r *Records) Record(ctx context.Context, s media.Subject) (media.Record, error) {
	if s.Type == media.Lesson {
		return r.courseOf(ctx, s)
	}
	if s.Type == media.Page {
		return media.Record{}, missing(s.Type)
	}
	k, err := key(s)
	if err != nil {
		return media.Record{}, err
	}
	d, err := r.driver.Get(ctx, k)
	if errors.Is(err, media.NotFound) || err == nil && pending(d) {
		return media.Record{}, missing(s.Type)
	}
	if err != nil {
		return media.Record{}, wrap("read", err)
	}
	return record(s.Type, d), nil
}

func (r *Records) courseOf(ctx context.Context, lesson media.Subject) (media.Record, error) {
	if err := checkID(lesson.ID); err != nil {
		return media.Record{}, err
	}
	found, err := r.driver.Find(ctx, Query{Type: media.Course, Lesson: lesson.ID, Limit: 1})
	if err != nil {
		return media.Record{}, wrap("find the course of a lesson", err)
	}
	if len(found) == 0 {
		return media.Record{}, missing(media.Lesson)
	}
	return record(media.Course, found[0]), nil
}

// How many records a page of a list has.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// List reads one page, newest first. A limit that is none is 50, one above 200 is 200. Products and courses are
// selected by Category and Unlisted; all by Owner. With Deleted it is what lies in the trash, the latest burial first.
func (r *Records) List(ctx context.Context, q media.RecordQuery) (media.RecordListing, error) {
	if !recorded(q.Type) {
		_, err := key(media.Subject{Type: q.Type})
		return media.RecordListing{}, err
	}
	if err := errors.Join(checkText("owner", q.Owner), checkText("category", q.Category)); err != nil {
		return media.RecordListing{}, err
	}
	after, err := readCursor(list{q.Type, q.Deleted}, q.Cursor)
	if err != nil {
		return media.RecordListing{}, err
	}
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	q.Limit = min(q.Limit, maxLimit)
	ask := Query{Type: q.Type, Owner: q.Owner, After: after, Limit: q.Limit + 1, Trash: q.Deleted}
	if !q.Deleted && (q.Type == media.Product || q.Type == media.Course) {
		ask.Listed, ask.Category = !q.Unlisted, q.Category
	}
	found, err := r.driver.Find(ctx, ask)
	if err != nil {
		return media.RecordListing{}, wrap("list", err)
	}
	page := media.RecordListing{Items: []media.Record{}}
	if len(found) > q.Limit {
		found = found[:q.Limit]
		last := found[len(found)-1]
		if q.Deleted {
			last.Position = Position{CreatedAt: last.BuriedAt, ID: last.ID}
		}
		page.NextCursor = cursor(list{q.Type, q.Deleted}, last.Position)
	}
	for _, d := range found {
		// Looked at again: what a stranger may see does not depend on how a database spells a condition.
		if media.ValidEntityID(d.ID) && !pending(d) && (!ask.Listed || Published(d)) && (q.Owner == "" || OwnerOf(q.Type, d) == q.Owner) {
			page.Items = append(page.Items, record(q.Type, d))
		}
	}
	return page, nil
}

// maxText bounds what a query compares with, in bytes: 300 characters of any script fit.
const maxText = 1200

// checkText checks what a query compares with.
func checkText(field, s string) error {
	if len(s) > maxText || !utf8.ValidString(s) {
		return &media.Error{Kind: media.Invalid, Code: "bad_" + field, Detail: "this is no " + field, Field: field}
	}
	return nil
}

// maxTitles is how many titles are asked for at once.
const maxTitles = 1000

// Titles gives what people call entities, those that are there and have a title: at most 1,000, one question for each type. Lessons and
// pages have none here.
func (r *Records) Titles(ctx context.Context, subjects []media.Subject) (map[media.Subject]string, error) {
	if len(subjects) > maxTitles {
		return nil, &media.Error{Kind: media.Invalid, Code: "too_many", Detail: "at most 1,000 titles are read at once"}
	}
	ids := map[media.SubjectType][]string{}
	for _, s := range subjects {
		if !recorded(s.Type) {
			continue
		}
		if err := checkID(s.ID); err != nil {
			return nil, err
		}
		if !slices.Contains(ids[s.Type], s.ID) {
			ids[s.Type] = append(ids[s.Type], s.ID)
		}
	}
	titles := map[media.Subject]string{}
	for t, list := range ids {
		found, err := r.driver.Find(ctx, Query{Type: t, IDs: list, Limit: len(list), Members: []string{"title", "name", "displayName"}})
		if err != nil {
			return nil, wrap("titles", err)
		}
		for _, d := range found {
			if title := (media.Record{Fields: d.Fields}).Title(); title != "" {
				titles[media.Subject{Type: t, ID: d.ID}] = title
			}
		}
	}
	return titles, nil
}

// list is which list a cursor is of.
type list struct {
	Type  media.SubjectType `json:"y"`
	Trash bool              `json:"d,omitempty"`
}

// place is a Position as a cursor holds it.
type place struct {
	list
	ID     string   `json:"i"`
	Text   bool     `json:"x,omitempty"`
	Millis *int64   `json:"t,omitempty"`
	Word   *string  `json:"w,omitempty"`
	Number *float64 `json:"n,omitempty"`
}

func cursor(l list, p Position) string {
	at := place{list: l, ID: p.ID, Text: p.Text}
	switch v := p.CreatedAt.(type) {
	case time.Time:
		ms := v.UnixMilli()
		at.Millis = &ms
	case string:
		at.Word = &v
	case int64:
		f := float64(v)
		at.Number = &f
	case float64:
		at.Number = &v
	}
	text, err := json.Marshal(at)
	if err != nil {
		return "" // texts and finite numbers always encode; the list ends early at worst
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func readCursor(l list, text string) (*Position, error) {
	if text == "" {
		return nil, nil
	}
	bad := &media.Error{Kind: media.Invalid, Code: "bad_cursor", Detail: "the cursor is not one of this list", Field: "cursor"}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, bad
	}
	var at place
	if err := json.Unmarshal(raw, &at); err != nil || at.list != l || at.ID == "" || !at.Text && !media.ValidEntityID(at.ID) {
		return nil, bad
	}
	p := &Position{ID: at.ID, Text: at.Text}
	switch {
	case at.Millis != nil:
		p.CreatedAt = time.UnixMilli(*at.Millis).UTC()
	case at.Word != nil:
		p.CreatedAt = *at.Word
	case at.Number != nil:
		p.CreatedAt = *at.Number
	}
	return p, nil
}
