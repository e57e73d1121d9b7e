package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// course is what the API says of a course with its media, as far as these tests look.
type course struct {
	Course *struct{ ID string }
	Videos struct {
		Lessons []struct{ ID, MediaID string }
	}
}

func (c *client) newCourse(ctx context.Context, title string) (string, error) {
	var made course
	if err := c.call(ctx, http.MethodPost, "/api/courses", map[string]any{"title": title}, &made, http.StatusCreated); err != nil {
		return "", err
	}
	return made.Course.ID, nil
}

// lessons reads a course, the header field that says what is away, and the media of its lesson videos.
func (c *client) lessons(ctx context.Context, id string) (known bool, degraded string, media []string, err error) {
	a, err := c.do(ctx, http.MethodGet, "/api/courses/"+id, nil, 0, c.auth()...)
	if err != nil {
		return false, "", nil, err
	}
	if a.status != http.StatusOK {
		return false, "", nil, &statusError{"read a course", a}
	}
	var v course
	if err := decode(a, &v); err != nil {
		return false, "", nil, err
	}
	for _, l := range v.Videos.Lessons {
		media = append(media, l.MediaID)
	}
	return v.Course != nil, a.header.Get("X-Degraded"), media, nil
}

func lessonVideo(course string) map[string]string {
	return map[string]string{"filename": "a.bin", "kind": "course-video", "mongoCourseId": course, "videoType": "lesson"}
}

// MongoDB goes away while the gateway runs: what is known plays and shows, uploads go on and find their place when it is back, and what cannot be
// known is said to be so.
func TestMongoDBMayGoAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	mongo := livetest.Mongo(t)
	s := livetest.Sluice(t, livetest.Options{Env: []string{"MONGODB_URI=" + mongo.URI("lms")}})
	c, ctx := newClient(t, s, "ann", "instructor"), t.Context()
	if !strings.HasPrefix(s.Output(), "MongoDB connected\n") {
		t.Errorf("the start says %q first", s.Output())
	}
	seen, err := c.newCourse(ctx, "seen")
	if err != nil {
		t.Fatal(err)
	}
	other, err := c.newCourse(ctx, "not asked for")
	if err != nil {
		t.Fatal(err)
	}
	src := newSource(200 << 10)
	first, err := c.send(ctx, src, src.size, lessonVideo(seen))
	if err != nil {
		t.Fatal(err)
	}
	if known, degraded, media, err := c.lessons(ctx, seen); err != nil || !known || degraded != "" || len(media) != 1 {
		t.Fatalf("the course = %v, %q, %v, %v", known, degraded, media, err)
	}
	link, err := c.link(ctx, first.id, "bob")
	if err != nil {
		t.Fatal(err)
	}

	mongo.Kill()
	if known, _, media, err := c.lessons(ctx, seen); err != nil || !known || len(media) != 1 {
		t.Errorf("a course that is known, while MongoDB is away: %v, %v, %v", known, media, err)
	}
	if err := readRange(ctx, c, link, src); err != nil {
		t.Errorf("a video while MongoDB is away: %v", err)
	}
	late, err := c.send(ctx, src, src.size, lessonVideo(other))
	if err != nil {
		t.Fatalf("an upload while MongoDB is away: %v", err)
	}
	lost, err := c.send(ctx, src, src.size, lessonVideo("ffffffffffffffffffffffff"))
	if err != nil {
		t.Fatalf("an upload to nowhere while MongoDB is away: %v", err)
	}
	if known, degraded, media, err := c.lessons(ctx, strings.Repeat("e", 24)); err != nil || known || degraded != "entities" || len(media) != 0 {
		t.Errorf("a course nobody knows now: %v, %q, %v, %v; want null, and entities", known, degraded, media, err)
	}
	began := time.Now()
	a, err := c.do(ctx, http.MethodPost, "/api/courses", strings.NewReader(`{"title":"x"}`), 13, append(c.auth(), "Content-Type", "application/json")...)
	if err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || time.Since(began) > 5*time.Second {
		t.Errorf("a new course while MongoDB is away: %v, %v after %v; want 503 with Retry-After soon", a, err, time.Since(began))
	}
	livetest.Until(t, 10*time.Second, "/readyz names what is away", func() bool {
		a, err := c.do(ctx, http.MethodGet, "/readyz", nil, 0)
		return err == nil && a.status == http.StatusOK && strings.Contains(string(a.body), `"name":"mongodb","status":"down"`)
	})

	mongo.Start(t)
	livetest.Until(t, 20*time.Second, "the upload finds its place", func() bool {
		known, degraded, media, err := c.lessons(ctx, other)
		return err == nil && known && degraded == "" && len(media) == 1 && media[0] == late.id
	})
	livetest.Until(t, 20*time.Second, "what was meant for nowhere belongs nowhere", func() bool {
		var m struct{ Kind, MongoCourseID string }
		return c.call(ctx, http.MethodGet, "/api/media/"+lost.id, nil, &m, http.StatusOK) == nil && m.Kind == "media" && m.MongoCourseID == ""
	})
	if _, err := c.newCourse(ctx, "again"); err != nil {
		t.Error(err)
	}
}

// A MongoDB that is away at the start is no reason not to serve media.
func TestMongoDBMayBeAwayAtTheStart(t *testing.T) {
	t.Parallel()
	mongo := livetest.Mongo(t)
	mongo.Kill()
	s := livetest.Sluice(t, livetest.Options{Env: []string{"MONGODB_URI=" + mongo.URI("lms")}})
	if !strings.Contains(s.Output(), "MongoDB away (media only until it is back)\nSQLite") {
		t.Errorf("the start says %q first", s.Output())
	}
	c, ctx := newClient(t, s, "ann", "instructor"), t.Context()
	src := newSource(100 << 10)
	if u, err := c.send(ctx, src, src.size, nil); err != nil {
		t.Error(err)
	} else if err := c.settled(ctx, u.id, src); err != nil {
		t.Error(err)
	}
	mongo.Start(t)
	livetest.Until(t, 20*time.Second, "courses are made", func() bool {
		_, err := c.newCourse(ctx, "late")
		return err == nil
	})
}

// A MongoDB that swallows what is sent to it delays nobody for longer than a moment.
func TestAMongoDBThatHangsDelaysNobody(t *testing.T) {
	t.Parallel()
	mongo := livetest.Mongo(t)
	s := livetest.Sluice(t, livetest.Options{Env: []string{"MONGODB_URI=" + mongo.URI("lms")}})
	c, ctx := newClient(t, s, "ann", "instructor"), t.Context()
	id, err := c.newCourse(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := c.lessons(ctx, id); err != nil {
		t.Fatal(err)
	}
	mongo.Pause(t)
	defer mongo.Continue(t)
	for _, what := range []string{id, strings.Repeat("d", 24)} {
		began := time.Now()
		if _, _, _, err := c.lessons(ctx, what); err != nil || time.Since(began) > 5*time.Second {
			t.Errorf("a course while MongoDB hangs: %v after %v", err, time.Since(began))
		}
	}
	src := newSource(100 << 10)
	began := time.Now()
	if _, err := c.send(ctx, src, src.size, lessonVideo(strings.Repeat("d", 24))); err != nil || time.Since(began) > 6*time.Second {
		t.Errorf("an upload while MongoDB hangs: %v after %v", err, time.Since(began))
	}
}

// PostgreSQL is stopped for a minute: known media and products show, a running upload goes on, and afterwards everything is there and counted.
func TestPostgreSQLMayBeAwayForAMinute(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := livetest.Sluice(t, livetest.Options{Env: append(db.env(), "MONGODB_URI="+livetest.Mongo(t).URI("lms"))})
	c, ctx := newClient(t, s, "ann", "instructor"), t.Context()
	id, err := c.newCourse(ctx, "known")
	if err != nil {
		t.Fatal(err)
	}
	src := newSource(200 << 10)
	video, err := c.send(ctx, src, src.size, lessonVideo(id))
	if err != nil {
		t.Fatal(err)
	}
	const views = 30
	links := make([]string, views)
	for i := range links {
		if links[i], err = c.link(ctx, video.id, fmt.Sprint("viewer ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, media, err := c.lessons(ctx, id); err != nil || len(media) != 1 {
		t.Fatalf("the course has %v, %v", media, err)
	}
	big := newSource(views << 17)
	up, err := c.create(ctx, big.size, lessonVideo(id), nil, 0)
	if err != nil {
		t.Fatal(err)
	}

	db.stop()
	began := time.Now()
	step := time.NewTicker(2 * time.Second)
	defer step.Stop()
	for i, link := range links {
		off := int64(i) << 17
		if err := readRange(ctx, c, link, src); err != nil {
			t.Errorf("known media after %v without PostgreSQL: %v", time.Since(began), err)
		}
		a, err := c.patch(ctx, up, off, io.NewSectionReader(big, off, 1<<17), 1<<17)
		if last := i == views-1; err != nil || !last && a.status != http.StatusNoContent || last && a.status != http.StatusServiceUnavailable {
			t.Errorf("a chunk after %v without PostgreSQL: %v, %v", time.Since(began), a, err)
		}
		if known, degraded, media, err := c.lessons(ctx, id); err != nil || !known || degraded != "catalogue" || len(media) != 1 {
			t.Errorf("a known course after %v without PostgreSQL: %v, %q, %v, %v", time.Since(began), known, degraded, media, err)
		}
		<-step.C
	}
	if time.Since(began) < time.Minute {
		t.Errorf("it was away for %v only", time.Since(began))
	}
	db.start()

	if err := c.settled(ctx, up.id, big); err != nil {
		t.Error(err)
	}
	if err := c.viewed(ctx, video.id, views); err != nil {
		t.Error(err)
	}
	livetest.Until(t, 10*time.Second, "both videos show", func() bool {
		known, degraded, media, err := c.lessons(ctx, id)
		return err == nil && known && degraded == "" && len(media) == 2
	})
}
