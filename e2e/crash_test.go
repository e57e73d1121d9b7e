package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// Killed at any named point between a request and its answer, the gateway has the file in the catalogue exactly once after a restart, or
// shows an offset below the length (or 423), or never acknowledged the upload: never "full offset, no row".
//
//nolint:tparallel // the group ends when all engines have; then what they have reached together is looked at
func TestACrashAtAnyPointLeavesAFileOnceOrNotYet(t *testing.T) {
	t.Parallel()
	marks := slices.DeleteFunc(crashMarks(t), func(mark string) bool { return strings.HasPrefix(mark, lmsMarks) })
	var mu sync.Mutex
	reached := map[string]int{}
	t.Run("on", func(t *testing.T) {
		for _, engine := range []struct {
			name string
			env  func(*testing.T) []string
		}{
			{"SQLite, durable", func(*testing.T) []string { return []string{"SLUICE_ACK=durable"} }},
			{"PostgreSQL, fast", func(t *testing.T) []string { return append(newDatabase(t).env(), "SLUICE_ACK=fast") }},
			{"PostgreSQL, S3", func(t *testing.T) []string {
				bucket := livetest.S3(t)
				return append(newDatabase(t).env(), bucket.Env(bucket.URL(), bucket.NewBucket(t, "media"))...)
			}},
		} {
			t.Run(engine.name, func(t *testing.T) {
				t.Parallel()
				s := livetest.Sluice(t, livetest.Options{Tags: []string{"crashpoints"}, Env: engine.env(t), Off: true})
				c := newClient(t, s, "ann", "instructor")
				points, crashes := 0, 0
				for _, mark := range marks {
					n := crashEachPass(t, s, c, mark)
					mu.Lock()
					reached[mark] += n
					mu.Unlock()
					crashes += n
					points += min(n, 1)
				}
				t.Logf("%d crashes at %d of %d marks", crashes, points, len(marks))
				if points < 15 {
					t.Errorf("died at %d named points, want 15 or more", points)
				}
			})
		}
	})
	for _, mark := range marks {
		if reached[mark] == 0 && !slices.Contains(offThePath(), mark) {
			t.Errorf("no request reached the mark %q", mark)
		}
	}
}

// crashEachPass kills the gateway at the first and the second pass of a mark, which different kinds of use make, and returns how often
// it died.
func crashEachPass(t *testing.T, s *livetest.Server, c *client, mark string) int {
	t.Helper()
	for pass := range 2 {
		died, err := crashAt(t.Context(), s, c, fmt.Sprint(mark, "#", pass+1))
		if err != nil {
			t.Errorf("crash at pass %d of %q: %v", pass+1, mark, err)
		}
		if !died {
			return pass
		}
	}
	return 2
}

// offThePath names the marks that none of these requests can reach, with the reason.
func offThePath() []string {
	return []string{
		"s3: append: further numbers taken", // by the 33rd part of one request: storage/s3 has it in its own tests
	}
}

// crashMarks finds every crash.At("…") in the module's source.
func crashMarks(t *testing.T) []string {
	t.Helper()
	root, err := livetest.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	var marks []string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || f.Sel.Name != "At" {
				return true
			}
			if pkg, ok := f.X.(*ast.Ident); !ok || pkg.Name != "crash" {
				return true
			}
			text, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: a mark's name must be a literal", path)
				return true
			}
			mark, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if !slices.Contains(marks, mark) {
				marks = append(marks, mark)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return marks
}

// crashAt lets clients of every kind work until the gateway dies at mark, restarts it and holds it to what it told each of them.
func crashAt(ctx context.Context, s *livetest.Server, c *client, mark string) (died bool, err error) {
	var tries []*try
	if err := s.Launch("SLUICE_CRASH_AT=" + mark); err != nil {
		if s.Pid() != 0 {
			return false, err
		}
		died = true // in its own start
	}
	for _, kind := range kinds() {
		if died {
			break
		}
		w := &try{kind: kind, c: c, name: strings.Map(letters, mark) + " " + kind.name, src: newSource(kind.size)}
		tries = append(tries, w)
		if err := kind.run(ctx, w); err != nil {
			if !s.Ended(5 * time.Second) {
				return false, fmt.Errorf("%s, while the gateway lives: %w", kind.name, err)
			}
			died = true
		}
	}
	// What runs after the answer (the hash, the counts) gets its time.
	died = died || s.Ended(settleTime)
	if !died {
		s.Kill()
	}
	if err := s.Launch(); err != nil {
		return died, err
	}
	for _, w := range tries {
		if werr := w.check(ctx); werr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", w.kind.name, werr))
		}
	}
	s.Kill()
	return died, err
}

const settleTime = 200 * time.Millisecond

func letters(r rune) rune {
	if r == ':' || r == '/' || r == '#' {
		return '-'
	}
	return r
}

// kind is one way to use the gateway.
type kind struct {
	name string
	size int64
	run  func(ctx context.Context, w *try) error // an error: the gateway is gone
}

// try is what one client has done, and what it was told.
type try struct {
	kind kind
	c    *client
	name string // the file's, its own
	src  source

	up      upload
	created bool // the 201 arrived
	parts   []upload
	deleted int    // 0: not asked for, 1: asked, 2: acknowledged
	link    string // a play that may have been cut off
}

func kinds() []kind {
	return []kind{
		{"a file in two chunks", 3 << 20, func(ctx context.Context, w *try) error { return w.chunks(ctx, 2<<20) }},
		{"a file in two chunks of some parts", 13 << 20, func(ctx context.Context, w *try) error { return w.chunks(ctx, 7<<20) }},
		{"a small file in one request", 40 << 10, func(ctx context.Context, w *try) error { return w.atOnce(ctx) }},
		{"a file with a deferred length", 300 << 10, func(ctx context.Context, w *try) error { return w.deferred(ctx) }},
		{"a file joined from parts", 200 << 10, func(ctx context.Context, w *try) error { return w.joined(ctx) }},
		{"a file that is played", 90 << 10, func(ctx context.Context, w *try) error { return w.played(ctx) }},
		{"a file that is deleted", 90 << 10, func(ctx context.Context, w *try) error { return w.removed(ctx) }},
		{"a file joined from parts that is deleted", 200 << 10, func(ctx context.Context, w *try) error { return w.joinedAndRemoved(ctx) }},
		{"an upload that is terminated", 90 << 10, func(ctx context.Context, w *try) error { return w.terminated(ctx) }},
	}
}

func (w *try) meta() map[string]string { return map[string]string{"filename": w.name + ".bin"} }

func (w *try) begin(ctx context.Context, headers ...string) error {
	headers = append(append(w.c.auth(), "Tus-Resumable", "1.0.0", "Upload-Metadata", metadata(w.meta())), headers...)
	up, err := w.c.post(ctx, w.src.size, nil, 0, headers)
	w.up, w.created = up, err == nil
	return err
}

func (w *try) chunks(ctx context.Context, chunk int64) error {
	if err := w.begin(ctx, "Upload-Length", fmt.Sprint(w.src.size)); err != nil {
		return err
	}
	for off := int64(0); off < w.src.size; off += chunk {
		n := min(chunk, w.src.size-off)
		a, err := w.c.patch(ctx, w.up, off, strings.NewReader(string(w.src.part(off, n))), n)
		if err != nil {
			return err
		}
		if a.status != http.StatusNoContent {
			return &statusError{"patch", a}
		}
	}
	return nil
}

func (w *try) atOnce(ctx context.Context) error {
	up, err := w.c.create(ctx, w.src.size, w.meta(), w.src.from(0), w.src.size)
	w.up, w.created = up, err == nil
	return err
}

func (w *try) deferred(ctx context.Context) error {
	if err := w.begin(ctx, "Upload-Defer-Length", "1"); err != nil {
		return err
	}
	half := w.src.size / 2
	if a, err := w.c.patch(ctx, w.up, 0, strings.NewReader(string(w.src.part(0, half))), half); err != nil || a.status != http.StatusNoContent {
		return errors.Join(err, &statusError{"patch", a})
	}
	return w.declare(ctx, half)
}

func (w *try) declare(ctx context.Context, off int64) error {
	n := w.src.size - off
	a, err := w.c.do(ctx, http.MethodPatch, w.up.url, strings.NewReader(string(w.src.part(off, n))), n, "Tus-Resumable", "1.0.0",
		"Upload-Offset", fmt.Sprint(off), "Upload-Length", fmt.Sprint(w.src.size), "Content-Type", "application/offset+octet-stream")
	if err == nil && a.status != http.StatusNoContent {
		return &statusError{"last patch", a}
	}
	return err
}

func (w *try) joined(ctx context.Context) error {
	half := w.src.size / 2
	for _, off := range []int64{0, half} {
		headers := append(w.c.auth(), "Tus-Resumable", "1.0.0", "Upload-Length", fmt.Sprint(half), "Upload-Concat", "partial")
		part, err := w.c.post(ctx, half, nil, 0, headers)
		if err != nil {
			return err
		}
		w.parts = append(w.parts, part)
		if a, err := w.c.patch(ctx, part, 0, strings.NewReader(string(w.src.part(off, half))), half); err != nil || a.status != http.StatusNoContent {
			return errors.Join(err, &statusError{"patch of a part", a})
		}
	}
	return w.join(ctx)
}

func (w *try) join(ctx context.Context) error {
	return w.begin(ctx, "Upload-Concat", "final;"+w.parts[0].url+" "+w.parts[1].url)
}

func (w *try) played(ctx context.Context) error {
	if err := w.atOnce(ctx); err != nil {
		return err
	}
	link, err := w.c.link(ctx, w.up.id, "a viewer")
	if err != nil {
		return err
	}
	w.link = link
	if err := w.play(ctx); err != nil {
		return err
	}
	_, err = w.c.media(ctx, w.up.id) // moves the count to the catalogue
	return err
}

func (w *try) play(ctx context.Context) error {
	a, err := w.c.do(ctx, http.MethodGet, w.link, nil, 0)
	if err == nil && a.status != http.StatusOK {
		return &statusError{"play", a}
	}
	return err
}

func (w *try) removed(ctx context.Context) error {
	if err := w.atOnce(ctx); err != nil {
		return err
	}
	w.deleted = 1
	return w.remove(ctx, "/api/media/"+w.up.id, append(w.c.auth(), "If-Match", "*"))
}

func (w *try) joinedAndRemoved(ctx context.Context) error {
	if err := w.joined(ctx); err != nil {
		return err
	}
	w.deleted = 1
	return w.remove(ctx, "/api/media/"+w.up.id, append(w.c.auth(), "If-Match", "*"))
}

func (w *try) terminated(ctx context.Context) error {
	if err := w.begin(ctx, "Upload-Length", fmt.Sprint(w.src.size)); err != nil {
		return err
	}
	if _, err := w.c.patch(ctx, w.up, 0, strings.NewReader(string(w.src.part(0, 10))), 10); err != nil {
		return err
	}
	w.deleted = 1
	return w.remove(ctx, w.up.url, []string{"Tus-Resumable", "1.0.0"})
}

func (w *try) remove(ctx context.Context, target string, headers []string) error {
	a, err := w.c.do(ctx, http.MethodDelete, target, nil, 0, headers...)
	if err != nil {
		return err
	}
	if a.status != http.StatusNoContent {
		return &statusError{"delete", a}
	}
	w.deleted = 2
	return nil
}

// check holds a restarted gateway to what it told this client, goes on where the client was cut off, and wants the whole in the end.
func (w *try) check(ctx context.Context) error {
	if !w.created {
		return w.again(ctx)
	}
	a, err := w.c.head(ctx, w.up)
	if err != nil {
		return err
	}
	if w.deleted > 0 {
		return w.checkDeleted(ctx, a)
	}
	n, err := w.rows(ctx)
	if err != nil {
		return err
	}
	switch {
	case a.status == http.StatusLocked:
	case a.status != http.StatusOK:
		return &statusError{"head after the restart of an acknowledged upload", a}
	case a.offset() == w.src.size && n != 1:
		return fmt.Errorf("full offset, and %d rows", n)
	}
	return w.complete(ctx)
}

// complete goes on by the rules of tus clients until the file is there, once, with its bytes.
func (w *try) complete(ctx context.Context) error {
	if w.kind.name == "a file with a deferred length" {
		if a, err := w.c.head(ctx, w.up); err == nil && a.header.Get("Upload-Length") == "" && a.status == http.StatusOK {
			if err := w.declare(ctx, a.offset()); err != nil {
				return err
			}
		}
	}
	if err := w.c.finish(ctx, w.up, w.src, 1<<20); err != nil {
		return err
	}
	if err := w.checkRows(ctx, 1, 1); err != nil {
		return err
	}
	if w.link != "" {
		if err := w.checkCount(ctx); err != nil {
			return err
		}
	}
	return w.c.settled(ctx, w.up.id, w.src)
}

// again is what a client does whose creation was never answered. What the lost one left must not be more than one whole file.
func (w *try) again(ctx context.Context) error {
	if err := w.checkRows(ctx, 0, 1); err != nil {
		return err
	}
	if len(w.parts) == 2 {
		for i, part := range w.parts {
			half := w.src.size / 2
			if err := w.c.finish(ctx, part, source{w.src.seed + uint64(int64(i)*half/8), half}, half); err != nil {
				return fmt.Errorf("part %d: %w", i, err)
			}
		}
		if err := w.join(ctx); err != nil {
			return fmt.Errorf("join again: %w", err)
		}
		return w.complete(ctx)
	}
	w.name += " again"
	if err := w.begin(ctx, "Upload-Length", fmt.Sprint(w.src.size)); err != nil {
		return fmt.Errorf("create again: %w", err)
	}
	return w.complete(ctx)
}

func (w *try) checkDeleted(ctx context.Context, head answer) error {
	gone := head.status == http.StatusNotFound || head.status == http.StatusGone
	if w.deleted == 2 && !gone {
		return &statusError{"head after an acknowledged DELETE", head}
	}
	if !gone && head.offset() == w.src.size {
		if err := w.c.content(ctx, w.up.id, w.src); err != nil {
			return fmt.Errorf("neither deleted nor whole: %w", err)
		}
	}
	if !gone {
		if err := w.remove(ctx, w.up.url, []string{"Tus-Resumable", "1.0.0"}); err != nil {
			return fmt.Errorf("delete again: %w", err)
		}
	}
	return w.checkRows(ctx, 0, 0)
}

// checkCount plays again with the same ticket, as a player does whose answer was cut off: still one view.
func (w *try) checkCount(ctx context.Context) error {
	if err := w.play(ctx); err != nil {
		return err
	}
	return w.c.viewed(ctx, w.up.id, 1)
}

func (w *try) checkRows(ctx context.Context, least, most int) error {
	n, err := w.rows(ctx)
	if err != nil {
		return err
	}
	if n < least || n > most {
		return fmt.Errorf("%d rows in the catalogue, want between %d and %d", n, least, most)
	}
	return nil
}

// rows counts the finished files of this try in the catalogue.
func (w *try) rows(ctx context.Context) (n int, err error) {
	var newest struct{ Items []media }
	err = w.c.call(ctx, http.MethodGet, "/api/media?limit=200", nil, &newest, http.StatusOK)
	for _, m := range newest.Items {
		if m.Filename == w.name+".bin" && (m.State == "stored" || m.State == "ready") {
			n++
		}
	}
	return n, err
}
