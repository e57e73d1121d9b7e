package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/curation"
	"sluice/media"
)

// Record is a record of the LMS in JSON: its own fields as they are, and around them what Sluice knows of each.
type Record struct{ media.Record }

// MarshalJSON puts the fields and what is known into one object.
func (r Record) MarshalJSON() ([]byte, error) {
	all := maps.Clone(r.Fields)
	if all == nil {
		all = map[string]any{}
	}
	all["id"] = r.ID
	all["published"] = r.Published
	if r.Owner != "" {
		all["createdBy"] = r.Owner
	}
	if !r.CreatedAt.IsZero() {
		all["createdAt"] = utc(r.CreatedAt)
	}
	if !r.UpdatedAt.IsZero() {
		all["updatedAt"] = utc(r.UpdatedAt)
	}
	if !r.DeletedAt.IsZero() {
		all["deletedAt"] = utc(r.DeletedAt)
	}
	return json.Marshal(all) //nolint:wrapcheck // huma makes a problem of it
}

// Schema tells what every record has; the LMS has more.
func (Record) Schema(huma.Registry) *huma.Schema {
	text := func(doc, format string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: doc, Format: format}
	}
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true, Required: []string{"id", "published"},
		Properties: map[string]*huma.Schema{
			"id":        text("24 lower-case hex digits", ""),
			"published": {Type: huma.TypeBoolean},
			"createdBy": text("Subject of who manages it", ""),
			"createdAt": text("", "date-time"), "updatedAt": text("", "date-time"), "deletedAt": text("Absent of what is not in the trash", "date-time"),
		},
	}
}

func recordETag(r media.Record) string { return `"` + r.Version + `"` }

// versionsOf gives the versions of a record that If-Match allows; nil for any.
func versionsOf(match string) ([]string, error) {
	m, err := parseIfMatch(match)
	if err != nil || m.any {
		return nil, err
	}
	versions := []string{}
	for _, t := range m.tags {
		versions = append(versions, strings.Trim(t, `"`))
	}
	return versions, nil
}

// RecordID is the id of a record in a path; exported, as IDInput is.
type RecordID struct {
	ID string `path:"id" maxLength:"64" doc:"24 lower-case hex digits"`
}

type recordsInput struct {
	Category string `query:"category" maxLength:"300"`
	Mine     string `query:"mine" enum:"true,false" doc:"true: only one's own, published or not"`
	Deleted  string `query:"deleted" enum:"true,false" doc:"true: one's own that can be restored, to admins all, the latest deletion first; category does not select here"`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor   string `query:"cursor" maxLength:"512" doc:"nextCursor of the page before"`
}

type recordsOutput struct {
	Body struct {
		Items      []Record `json:"items" nullable:"false"`
		NextCursor string   `json:"nextCursor,omitempty" doc:"Absent on the last page"`
	} `nameHint:"Records"`
}

// listRecords lists products or courses.
func (g *Gateway) listRecords(t media.SubjectType) func(context.Context, *recordsInput) (*recordsOutput, error) {
	return func(ctx context.Context, in *recordsInput) (*recordsOutput, error) {
		q := media.RecordQuery{Type: t, Category: in.Category, Deleted: in.Deleted == "true", Limit: in.Limit, Cursor: in.Cursor}
		page, err := g.n.LMS.Records(ctx, principalOf(ctx), q, in.Mine == "true")
		if err != nil {
			return nil, err
		}
		out := &recordsOutput{}
		out.Body.NextCursor = page.NextCursor
		out.Body.Items = make([]Record, len(page.Items))
		for i, r := range page.Items {
			out.Body.Items[i] = Record{r}
		}
		return out, nil
	}
}

type deleteRecordInput struct {
	RecordID
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"The record's ETag, or *"`
	Purge   string `query:"purge" enum:"true,false" doc:"true: for good, past the trash"`
}

func (g *Gateway) deleteRecord(t media.SubjectType) func(context.Context, *deleteRecordInput) (*nothing, error) {
	return func(ctx context.Context, in *deleteRecordInput) (*nothing, error) {
		p, err := known(ctx)
		if err != nil {
			return nil, err
		}
		versions, err := versionsOf(in.IfMatch)
		if err != nil {
			return nil, err
		}
		return nil, g.n.LMS.Delete(ctx, p, media.Subject{Type: t, ID: in.ID}, versions, in.Purge == "true")
	}
}

// Known says, in header fields, how an answer came to be.
type Known struct {
	Cache    string `header:"X-Cache" enum:"hit,miss" doc:"hit: it was remembered, and is of the current version; counts never are remembered"`
	Degraded string `header:"X-Degraded" doc:"entities: the LMS's database is away, its record is null; catalogue: PostgreSQL is, and media are as last seen"`
}

func knownOf(v curation.View) Known {
	k := Known{Cache: "miss"}
	if v.Known {
		k.Cache = "hit"
	}
	var away []string
	if v.RecordsAway {
		away = append(away, "entities")
	}
	if v.BooksAway {
		away = append(away, "catalogue")
	}
	k.Degraded = strings.Join(away, ", ")
	return k
}

// recordOf is the record of a view, nil when it is not known.
func recordOf(v curation.View) *Record {
	if v.RecordsAway {
		return nil
	}
	return &Record{v.Record}
}

func etagOfView(v curation.View) string {
	if v.RecordsAway {
		return ""
	}
	return recordETag(v.Record)
}

// routeRecords is for the LMS itself, where the gateway keeps its records.
func (g *Gateway) routeRecords(api huma.API) {
	const path = "/api/records/{type}/{id}"
	add(g, api, huma.Operation{
		OperationID: "keep-record", Method: http.MethodPut, Path: path, Tags: []string{"records"}, Summary: "Write a record as it is",
		Description: "Admins only: for an LMS that has no MongoDB, whose users, reviews and orders are kept here.",
	}, g.keepRecord)
	add(g, api, huma.Operation{
		OperationID: "look-at-record", Method: http.MethodGet, Path: path, Tags: []string{"records"}, Summary: "Read a record as it is", Description: "Admins only.",
	}, g.lookAtRecord)
	add(g, api, huma.Operation{
		OperationID: "remove-record", Method: http.MethodDelete, Path: path, Tags: []string{"records"}, DefaultStatus: http.StatusNoContent,
		Summary: "Remove a record", Description: "Admins only. Products and courses go to the trash with what hangs on them.",
	}, g.removeRecord)
}

// TypedID names a record in a path; exported, as IDInput is.
type TypedID struct {
	Type string `path:"type" enum:"product,course,user,review,order"`
	RecordID
}

func (in TypedID) subject() media.Subject {
	return media.Subject{Type: media.SubjectType(in.Type), ID: in.ID}
}

type keepRecordInput struct {
	TypedID
	Body RawFields
}

// RawFields are the fields of a record as its LMS writes them.
type RawFields map[string]any

// UnmarshalJSON keeps whole numbers whole.
func (f *RawFields) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return err //nolint:wrapcheck // huma makes a problem of it
	}
	if fields == nil {
		return errors.New("not an object")
	}
	for k, v := range fields {
		fields[k] = numbered(v)
	}
	*f = fields
	return nil
}

// Schema is any object.
func (RawFields) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// numbered makes of each json.Number an int64 where it is one, and a float64 else.
func numbered(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // too large: an infinity, which no JSON holds and the store refuses
		return f
	case []any:
		for i := range v {
			v[i] = numbered(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbered(v[k])
		}
	}
	return v
}

type recordOutput struct {
	ETag string `header:"ETag"`
	Body Record
}

func (g *Gateway) keepRecord(ctx context.Context, in *keepRecordInput) (*recordOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	r, err := g.n.LMS.Keep(ctx, p, media.Record{Subject: in.subject(), Fields: in.Body})
	if err != nil {
		return nil, err
	}
	return &recordOutput{ETag: recordETag(r), Body: Record{r}}, nil
}

func (g *Gateway) lookAtRecord(ctx context.Context, in *TypedID) (*recordOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	r, err := g.n.LMS.Look(ctx, p, in.subject())
	if err != nil {
		return nil, err
	}
	return &recordOutput{ETag: recordETag(r), Body: Record{r}}, nil
}

func (g *Gateway) removeRecord(ctx context.Context, in *TypedID) (*nothing, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	return nil, g.n.LMS.Remove(ctx, p, in.subject())
}
