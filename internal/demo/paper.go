package demo

import (
	"bytes"
	"fmt"
	"strings"
)

// line is a line of text on a page, in points from the left and from the foot.
type line struct {
	x, y, size int
	bold       bool
	grey       float64 // 0 is black
	text       string
}

// pdf makes a document of one A4 page, with a bar of colour at its head: five objects, a table of where they are, a trailer (ISO 32000-1,
// clause 7.5).
func pdf(title string, lines []line) []byte {
	var page strings.Builder
	page.WriteString("0.18 0.43 0.62 rg 0 812 595 30 re f\n")
	for _, l := range lines {
		font := "F1"
		if l.bold {
			font = "F2"
		}
		fmt.Fprintf(&page, "BT /%s %d Tf %.2f g %d %d Td (%s) Tj ET\n", font, l.size, l.grey, l.x, l.y, escaped(l.text))
	}
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 6 0 R /Resources << /Font << /F1 4 0 R /F2 5 0 R >> >> >>",
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", page.Len(), page.String()),
		fmt.Sprintf("<< /Title (%s) /Producer (Sluice) >>", escaped(title)),
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n%\xE2\xE3\xCF\xD3\n") // the second line tells that it holds more than ASCII
	at := make([]int, len(objects))
	for i, o := range objects {
		at[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	table := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R /Info 7 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, table)
	return b.Bytes()
}

func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(text)
}

// cheatSheet is what the course hands out.
func cheatSheet() []byte {
	lines := []line{
		{56, 750, 26, true, 0, "Sluice in ten minutes"},
		{56, 726, 12, false, 0.4, "The cheat sheet of the course. Everything is a command or a URL."},
	}
	y := 680
	for _, part := range [][]string{
		{"Upload", "sluice upload lecture.mp4 --title \"Lecture 1\"", "Cut, or ended with Ctrl-C: the same command goes on where it was."},
		{"Play", "sluice link ID --expires 2h", "The URL plays in a browser, in ffplay and in curl, until it ends."},
		{"Take back", "sluice revoke --media ID", "Links that were given answer 403 from their next request on."},
		{"See what is there", "sluice ls --sort -size", "sluice show ID tells all of one media, with its views."},
		{"Products", "GET /api/products, GET /api/products/{id}", "The product from one database, its images from the other, in one answer."},
		{"Courses", "GET /api/courses/{id}", "Intro, modules, lessons and resources; what is private shows to who bought it."},
		{"When something is wrong", "sluice doctor", "It says what, and how to mend it."},
	} {
		lines = append(
			lines, line{56, y, 14, true, 0.1, part[0]}, line{56, y - 20, 12, false, 0, part[1]}, line{56, y - 36, 11, false, 0.4, part[2]},
		)
		y -= 76
	}
	return pdf("Sluice in ten minutes", lines)
}

// script is code that the course hands out: an upload in its two requests.
const script = `#!/usr/bin/env bash
# Uploads a file over tus with nothing but curl: one request makes the upload, one sends the bytes.
#
#   SLUICE_TOKEN=... ./upload.sh lecture.mp4 http://localhost:5000
set -euo pipefail
file=$1 server=${2:-http://localhost:5000}

location=$(curl -fsS -X POST "$server/files/" -D - -o /dev/null \
  -H "Authorization: Bearer $SLUICE_TOKEN" -H 'Tus-Resumable: 1.0.0' \
  -H "Upload-Length: $(wc -c <"$file")" \
  -H "Upload-Metadata: filename $(printf %s "$(basename "$file")" | base64 | tr -d '\n')" |
  tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
case $location in /*) location=$server$location ;; esac

# When the line is cut: HEAD on the same URL tells Upload-Offset, and the next PATCH goes on from there.
curl -fsS -X PATCH "$location" -T "$file" \
  -H 'Tus-Resumable: 1.0.0' -H 'Upload-Offset: 0' -H 'Content-Type: application/offset+octet-stream'
echo "done: $location"
`
