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

	"sluice/media"
)

func (g *Gateway) routeReports(api huma.API) {
	schema := api.OpenAPI().Components.Schemas
	add(g, api, huma.Operation{
		OperationID: "report-media", Method: http.MethodGet, Path: "/api/analytics/media/{id}", Tags: []string{"analytics"},
		Summary: "How often one media was fetched, over time", Description: "JSON, or CSV when Accept prefers text/csv. Empty buckets are left out.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/json": {Schema: schema.Schema(typeOf[MediaReport](), true, "")},
			"text/csv":         {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, g.reportMedia)
}

type reportInput struct {
	IDInput
	From   string `query:"from" maxLength:"40" doc:"RFC 3339 time or date, included; default: seven days before to"`
	To     string `query:"to" maxLength:"40" doc:"RFC 3339 time or date, excluded; default: the end of this hour"`
	Bucket string `query:"bucket" maxLength:"8" pattern:"^(hour|day|week|[1-9][0-9]{0,3}h)$" doc:"hour, day, week, or hours as in 6h; default: hour"`
	Accept string `header:"Accept"`
}

// MediaReport is how often one media was fetched.
type MediaReport struct {
	ID            string         `json:"id"`
	From          time.Time      `json:"from"`
	To            time.Time      `json:"to"`
	BucketSeconds int64          `json:"bucketSeconds"`
	CountedUntil  time.Time      `json:"countedUntil" doc:"Accesses up to here are in"`
	Views         int64          `json:"views" doc:"In this span"`
	Bytes         int64          `json:"bytesServed" doc:"In this span"`
	Buckets       []ReportBucket `json:"buckets" nullable:"false"`
}

// ReportBucket is one step of a report.
type ReportBucket struct {
	Start time.Time `json:"start"`
	Views int64     `json:"views"`
	Bytes int64     `json:"bytesServed"`
}

type reportOutput struct{ Body func(huma.Context) }

func (g *Gateway) reportMedia(ctx context.Context, in *reportInput) (*reportOutput, error) {
	id, err := media.ParseAssetID(in.ID)
	if err != nil {
		return nil, err
	}
	s, err := seriesOf(id, in, g.o.Now())
	if err != nil {
		return nil, err
	}
	report, err := g.n.Reports.Media(ctx, principalOf(ctx), s)
	if err != nil {
		return nil, err
	}
	r := reportJSON(s, report)
	if prefersCSV(in.Accept) {
		return &reportOutput{Body: func(c huma.Context) { writeCSV(c, r) }}, nil
	}
	return &reportOutput{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", "application/json")
		c.SetHeader("Vary", "Accept")
		c.SetStatus(http.StatusOK)
		_ = json.NewEncoder(c.BodyWriter()).Encode(r) // a client that is gone does not read it
	}}, nil
}

func seriesOf(id media.AssetID, in *reportInput, now time.Time) (media.Series, error) {
	s := media.Series{Asset: id, Bucket: bucketOf(in.Bucket), To: now.UTC().Truncate(time.Hour).Add(time.Hour)}
	var err error
	if in.To != "" {
		if s.To, err = timeOf("to", in.To); err != nil {
			return s, err
		}
	}
	s.From = s.To.Add(-7 * 24 * time.Hour)
	if in.From != "" {
		if s.From, err = timeOf("from", in.From); err != nil {
			return s, err
		}
	}
	if !s.From.Before(s.To) {
		return s, &media.Error{Kind: media.Invalid, Code: "bad_span", Field: "query.from", Detail: "from comes before to"}
	}
	return s, nil
}

func timeOf(name, v string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, v); err == nil && t.Year() >= 1970 && t.Year() <= 9999 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, &media.Error{Kind: media.Invalid, Code: "bad_time", Field: "query." + name, Detail: name + " is an RFC 3339 time, such as 2026-01-31T00:00:00Z, or a date"}
}

// bucketOf reads what the pattern let through.
func bucketOf(s string) time.Duration {
	switch s {
	case "", "hour":
		return time.Hour
	case "day":
		return 24 * time.Hour
	case "week":
		return 7 * 24 * time.Hour
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(s, "h"))
	return time.Duration(n) * time.Hour
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
	c.SetHeader("Content-Disposition", `attachment; filename="media-`+r.ID+`.csv"`)
	c.SetHeader("Vary", "Accept")
	c.SetStatus(http.StatusOK)
	w := csv.NewWriter(c.BodyWriter())
	_ = w.Write([]string{"start", "views", "bytesServed"})
	for _, b := range r.Buckets {
		_ = w.Write([]string{b.Start.Format(time.RFC3339), strconv.FormatInt(b.Views, 10), strconv.FormatInt(b.Bytes, 10)})
	}
	w.Flush() // a client that is gone does not read it
}
