package gateway

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/analytics"
	"sluice/media"
)

func (g *Gateway) routeReports(api huma.API) {
	schema := api.OpenAPI().Components.Schemas
	add(g, api, huma.Operation{
		OperationID: "report-media", Method: http.MethodGet, Path: "/api/analytics/media/{id}", Tags: []string{"analytics"},
		Summary: "How often one media was fetched, over time", Description: "JSON, or CSV when Accept prefers text/csv.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/json": {Schema: schema.Schema(typeOf[MediaReport](), true, "")},
			"text/csv":         {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, g.reportMedia)
}

type reportInput struct {
	IDInput
	From   string `query:"from" maxLength:"40" doc:"RFC 3339 time or date, included; default: 30 buckets of days before to"`
	To     string `query:"to" maxLength:"40" doc:"RFC 3339 time or date, excluded; default: now"`
	Bucket string `query:"bucket" enum:"hour,day,week,1h,24h,168h" doc:"Default: day; weeks begin on Monday, in UTC"`
	Accept string `header:"Accept"`
}

// MediaReport is how often one media was fetched: the totals of all time, the buckets of the time asked for.
type MediaReport struct {
	MediaID      string         `json:"mediaId" format:"uuid"`
	From         time.Time      `json:"from" doc:"Widened to whole buckets"`
	To           time.Time      `json:"to"`
	Bucket       string         `json:"bucket" enum:"hour,day,week"`
	CountedUntil *time.Time     `json:"countedUntil,omitempty" doc:"Every access to this node until then is in, and those to other nodes but for their last second; absent when that is not known"`
	AccessCount  int64          `json:"accessCount"`
	BytesServed  int64          `json:"bytesServed"`
	LastAccessed *time.Time     `json:"lastAccessedAt,omitempty"`
	BelongsTo    []Belonging    `json:"belongsTo" nullable:"false" doc:"What it hangs on; titles are absent while the LMS's database is away, see X-Degraded"`
	Buckets      []ReportBucket `json:"buckets" nullable:"false"`
}

// Belonging is a record that media hang on.
type Belonging struct {
	Type  string `json:"type" enum:"product,course,lesson,user,page,review,order"`
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
}

// ReportBucket is one step of a report.
type ReportBucket struct {
	Start time.Time `json:"start"`
	Views int64     `json:"views"`
	Bytes int64     `json:"bytes"`
}

func reportJSON(r analytics.Report) MediaReport {
	out := MediaReport{
		MediaID: r.MediaID.String(), From: utc(r.From), To: utc(r.To), Bucket: r.Bucket, CountedUntil: timeOrAbsent(r.CountedUntil),
		AccessCount: r.AccessCount, BytesServed: r.BytesServed, LastAccessed: timeOrAbsent(r.LastAccessedAt), Buckets: make([]ReportBucket, len(r.Buckets)),
		BelongsTo: make([]Belonging, len(r.BelongsTo)),
	}
	for i, b := range r.BelongsTo {
		out.BelongsTo[i] = Belonging{Type: string(b.Type), ID: b.ID, Title: b.Title}
	}
	for i, b := range r.Buckets {
		out.Buckets[i] = ReportBucket{Start: utc(b.Start), Views: b.Views, Bytes: b.Bytes}
	}
	return out
}

type reportOutput struct{ Body func(huma.Context) }

func (g *Gateway) reportMedia(ctx context.Context, in *reportInput) (*reportOutput, error) {
	id, err := media.ParseAssetID(in.ID)
	if err != nil {
		return nil, err
	}
	s, err := seriesOf(id, in)
	if err != nil {
		return nil, err
	}
	report, err := g.n.Reports.Media(ctx, principalOf(ctx), s)
	if err != nil {
		return nil, err
	}
	r := reportJSON(report)
	if prefersCSV(in.Accept) {
		return &reportOutput{Body: func(c huma.Context) { writeCSV(c, r) }}, nil
	}
	return &reportOutput{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", "application/json")
		c.SetHeader("Vary", "Accept")
		if report.TitlesAway {
			c.SetHeader("X-Degraded", "entities")
		}
		c.SetStatus(http.StatusOK)
		_ = json.NewEncoder(c.BodyWriter()).Encode(r) // a client that is gone does not read it
	}}, nil
}

// seriesOf reads the query; what is not given is for analytics to fill in.
func seriesOf(id media.AssetID, in *reportInput) (s media.Series, err error) {
	s.Asset = id
	if in.To != "" {
		if s.To, err = timeOf("to", in.To); err != nil {
			return s, err
		}
	}
	if in.From != "" {
		if s.From, err = timeOf("from", in.From); err != nil {
			return s, err
		}
	}
	name := in.Bucket
	switch name {
	case "1h":
		name = "hour"
	case "24h":
		name = "day"
	case "168h":
		name = "week"
	}
	s.Bucket, err = analytics.ParseBucket(name)
	return s, err //nolint:wrapcheck // a use-case's error is whole
}

func timeOf(name, v string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, v); err == nil && t.Year() >= 1970 && t.Year() <= 9999 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, &media.Error{Kind: media.Invalid, Code: "bad_time", Field: "query." + name, Detail: name + " is an RFC 3339 time, such as 2026-01-31T00:00:00Z, or a date"}
}

// prefersCSV reports whether Accept ranks text/csv above JSON: it is named, not refused, and nothing that means JSON has more weight.
func prefersCSV(accept string) bool {
	csvQ, jsonQ := -1.0, -1.0
	for part := range strings.SplitSeq(accept, ",") {
		kind, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		for p := range strings.SplitSeq(params, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				f, err := strconv.ParseFloat(v, 64)
				if err != nil {
					f = 0
				}
				q = f
			}
		}
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "text/csv", "text/*":
			csvQ = max(csvQ, q)
		case "application/json", "application/*":
			jsonQ = max(jsonQ, q)
		}
	}
	return csvQ > 0 && csvQ > jsonQ
}

func writeCSV(c huma.Context, r MediaReport) {
	c.SetHeader("Content-Type", "text/csv; charset=utf-8; header=present")
	c.SetHeader("Content-Disposition", `attachment; filename="media-`+r.MediaID+`.csv"`)
	c.SetHeader("Vary", "Accept")
	c.SetStatus(http.StatusOK)
	w := csv.NewWriter(c.BodyWriter())
	_ = w.Write([]string{"start", "views", "bytes"})
	for _, b := range r.Buckets {
		_ = w.Write([]string{b.Start.Format(time.RFC3339), strconv.FormatInt(b.Views, 10), strconv.FormatInt(b.Bytes, 10)})
	}
	w.Flush() // a client that is gone does not read it
}
