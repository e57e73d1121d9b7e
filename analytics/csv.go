package analytics

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"
)

// WriteCSV writes a report's buckets as CSV (RFC 4180) with a header line: mediaId, start, views, bytes. Every cell is an id, a time or
// a count, so none can begin a formula in a spreadsheet.
func WriteCSV(w io.Writer, r Report) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	rows := [][]string{{"mediaId", "start", "views", "bytes"}}
	for _, b := range r.Buckets {
		rows = append(rows, []string{
			r.MediaID.String(), b.Start.UTC().Format(time.RFC3339), strconv.FormatInt(max(b.Views, 0), 10), strconv.FormatInt(max(b.Bytes, 0), 10),
		})
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("analytics: write csv: %w", err)
	}
	return nil
}
