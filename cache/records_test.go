package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/cache"
	"sluice/cache/cachetest"
	"sluice/internal/livetest"
	"sluice/media"
)

// recordSource is the suite's source as one of records.
type recordSource struct {
	*cachetest.Source[media.Subject, media.Record]
}

func (s recordSource) Record(ctx context.Context, of media.Subject) (media.Record, error) {
	return s.Load(ctx, of)
}
func (recordSource) Granted(context.Context, string) ([]media.Subject, error) { return nil, nil }
func (recordSource) Trusting(context.Context) bool                            { return true }

// records is a cache of records for the suite.
type records struct{ *cache.Records }

func (c records) Read(ctx context.Context, s media.Subject) (media.Record, error) {
	return c.Record(ctx, s)
}

func TestRecordsKeepTheContract(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, cachetest.Records(), func(t testing.TB, s *cachetest.Source[media.Subject, media.Record], o cachetest.Settings) cachetest.Cache[media.Subject, media.Record] {
		c, err := cache.NewRecords(recordSource{s}, options(o))
		if err != nil {
			t.Fatal(err)
		}
		if !c.Trusting(t.Context()) {
			t.Error("Trusting is not what the source says")
		}
		return records{c}
	})
}

// lessonSource is the suite's source as one of courses that have one lesson, of the same id.
type lessonSource struct{ recordSource }

func (s lessonSource) Record(ctx context.Context, of media.Subject) (media.Record, error) {
	return s.Load(ctx, lesson(of.ID))
}

// lessons is a cache of records for the suite, which changes courses and reads their lessons.
type lessons struct{ records }

func (c lessons) Invalidate(s media.Subject) { c.Records.Invalidate(course(s.ID)) }

func TestWhateverTheOrderALessonIsNoOldCourse(t *testing.T) {
	t.Parallel()
	for name, listed := range map[string]bool{"with its lessons": true, "whose lessons are kept elsewhere": false} {
		t.Run("a course "+name, func(t *testing.T) {
			t.Parallel()
			use := cachetest.Records()
			use.Key = func(n byte) media.Subject { return lesson(strconv.Itoa(int(n))) }
			use.Value = func(s media.Subject, version int64) media.Record {
				r := media.Record{Subject: course(s.ID), Version: strconv.FormatInt(version, 10), Fields: map[string]any{"v": version}}
				if listed {
					r.Fields["modules"] = []any{map[string]any{"lessons": []any{map[string]any{"id": s.ID}}}}
				}
				return r
			}
			use.Version = func(_ media.Subject, r media.Record) (int64, error) { return r.Fields["v"].(int64), nil }
			cachetest.Interleave(t, use, func(t testing.TB, s *cachetest.Source[media.Subject, media.Record], o cachetest.Settings) cachetest.Cache[media.Subject, media.Record] {
				c, err := cache.NewRecords(lessonSource{recordSource{s}}, options(o))
				if err != nil {
					t.Fatal(err)
				}
				return lessons{records{c}}
			})
		})
	}
}

// school is the LMS's database: courses with lessons, and who has bought what.
type school struct {
	mu      sync.Mutex
	version int
	lessons map[string]string // the course of each
	bought  map[string][]media.Subject
	err     error
	hang    chan struct{}
	records atomic.Int64 // how often one was read
	orders  atomic.Int64
}

func course(id string) media.Subject { return media.Subject{Type: media.Course, ID: id} }
func lesson(id string) media.Subject { return media.Subject{Type: media.Lesson, ID: id} }

func (s *school) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	f()
}

// wait answers as the school does now, or not at all.
func (s *school) wait(ctx context.Context) error {
	s.mu.Lock()
	err, hang := s.err, s.hang
	s.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (s *school) Record(ctx context.Context, of media.Subject) (media.Record, error) {
	s.records.Add(1)
	if err := s.wait(ctx); err != nil {
		return media.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if of.Type == media.Lesson {
		of = course(s.lessons[of.ID])
	}
	var list []any
	for l, c := range s.lessons {
		if c == of.ID {
			list = append(list, map[string]any{"id": l})
		}
	}
	if len(list) == 0 {
		return media.Record{}, media.Errorf(media.NotFound, "no such course")
	}
	modules := []any{map[string]any{"id": "m", "lessons": list}}
	return media.Record{Subject: of, Version: strconv.Itoa(s.version), Fields: map[string]any{"modules": modules}}, nil
}

func (s *school) Granted(ctx context.Context, user string) ([]media.Subject, error) {
	s.orders.Add(1)
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bought[user], nil
}

func (*school) Trusting(context.Context) bool { return false }

// clock is the time of a test.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time       { return time.Unix(1_700_000_000, c.at.Load()) }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

func setup(t testing.TB, o cache.Options) (*cache.Records, *school, *clock) {
	t.Helper()
	s, now := &school{lessons: map[string]string{"l1": "c1", "l2": "c1", "l3": "c2"}, bought: map[string][]media.Subject{}}, &clock{}
	o.Now = now.now
	c, err := cache.NewRecords(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, s, now
}

// sees checks which course a read gives, "" for NotFound.
func sees(t testing.TB, c *cache.Records, s media.Subject, id string, version int) {
	t.Helper()
	r, err := c.Record(t.Context(), s)
	if id == "" && errors.Is(err, media.NotFound) {
		return
	}
	if err != nil || r.Subject != course(id) || r.Version != strconv.Itoa(version) {
		t.Errorf("%v is %v in version %s, %v, want %s in version %d", s, r.Subject, r.Version, err, id, version)
	}
}

func TestALessonIsItsCourse(t *testing.T) {
	t.Parallel()
	c, s, _ := setup(t, cache.Options{})
	for range 3 {
		sees(t, c, lesson("l1"), "c1", 0)
		sees(t, c, course("c1"), "c1", 0)
		sees(t, c, lesson("nowhere"), "", 0)
	}
	if n := s.records.Load(); n != 3 { // where the lesson is, the course, and that there is no other
		t.Errorf("the source was asked %d times", n)
	}
	if _, known, err := c.Lookup(t.Context(), lesson("l1")); !known || err != nil {
		t.Errorf("known %v, %v", known, err)
	}
	if !c.Knows(lesson("l1")) || c.Knows(lesson("l2")) || !c.Knows(course("c1")) {
		t.Error("Knows tells something else")
	}
}

func TestAChangeOfACourseHoldsForItsLessons(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct {
		change func(s *school)
		l1     string // where it is afterwards
	}{
		"its text":            {func(*school) {}, "c1"},
		"a lesson goes":       {func(s *school) { delete(s.lessons, "l1") }, ""},
		"it is deleted":       {func(s *school) { delete(s.lessons, "l1"); delete(s.lessons, "l2") }, ""},
		"a lesson goes to c2": {func(s *school) { s.lessons["l1"] = "c2" }, "c2"},
	} {
		for _, who := range []struct {
			name string
			hear func(c *cache.Records)
		}{
			{"the course is invalidated", func(c *cache.Records) { c.Invalidate(course("c1")) }},
			{"the lesson is", func(c *cache.Records) { c.Invalidate(lesson("l1")) }},
			{"messages were missed", func(c *cache.Records) { c.Expire() }},
		} {
			t.Run(name+", "+who.name, func(t *testing.T) {
				t.Parallel()
				c, s, _ := setup(t, cache.Options{})
				sees(t, c, lesson("l1"), "c1", 0)
				sees(t, c, course("c1"), "c1", 0)
				s.change(func() { change.change(s) })
				who.hear(c)
				sees(t, c, lesson("l1"), change.l1, 1)
			})
		}
	}
}

func TestANewLessonIsThereWithItsCourse(t *testing.T) {
	t.Parallel()
	c, s, _ := setup(t, cache.Options{})
	sees(t, c, lesson("l9"), "", 0)
	s.change(func() { s.lessons["l9"] = "c1" })
	c.Invalidate(course("c1"))
	sees(t, c, lesson("l9"), "c1", 1)
}

func TestALessonIsFoundThatTheRememberedCourseDoesNotHave(t *testing.T) {
	t.Parallel()
	c, s, _ := setup(t, cache.Options{})
	sees(t, c, course("c1"), "c1", 0)
	s.change(func() { s.lessons["l9"] = "c1" }) // and nobody tells
	sees(t, c, lesson("l9"), "c1", 1)
	sees(t, c, lesson("l2"), "c1", 0) // the one that is remembered has it as well
}

func TestAfterInvalidateAnOldCourseIsNotServedByItsLesson(t *testing.T) {
	t.Parallel()
	c, s, _ := setup(t, cache.Options{})
	sees(t, c, lesson("l1"), "c1", 0)
	s.change(func() { s.err = media.Unavailable })
	c.Invalidate(course("c1"))
	if r, err := c.Record(t.Context(), lesson("l1")); !errors.Is(err, media.Unavailable) {
		t.Errorf("the source is away: %+v, %v", r, err)
	}
}

func TestWhatWasKnownOfALessonIsKnownAgain(t *testing.T) {
	t.Parallel()
	c, s, _ := setup(t, cache.Options{})
	c.Preload(t.Context(), lesson("l1"))
	livetest.Until(t, 5*time.Second, "the lesson is known", func() bool { return c.Knows(lesson("l1")) })
	c.Preload(t.Context(), lesson("l1"))
	livetest.Until(t, 5*time.Second, "its course is known", func() bool { return c.Knows(course("c1")) })
	s.change(func() { s.err = media.Unavailable })
	sees(t, c, lesson("l1"), "c1", 0)
}

func TestAHangingDatabaseDoesNotHoldUpWhatIsKnown(t *testing.T) {
	t.Parallel()
	c, s, now := setup(t, cache.Options{StaleWait: time.Millisecond, LoadWait: 50 * time.Millisecond})
	s.bought["u"] = []media.Subject{course("c1")}
	read := func() {
		sees(t, c, lesson("l1"), "c1", 0)
		entitled(t, c, true, course("c1"))
		entitled(t, c, false, course("c2"))
	}
	read()
	s.change(func() { s.hang = make(chan struct{}) })
	now.pass(30 * time.Minute)
	read()
}

func TestARecordLivesForADayWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	c, s, now := setup(t, cache.Options{})
	sees(t, c, lesson("l1"), "c1", 0)
	s.change(func() { s.err = media.Unavailable })
	now.pass(24*time.Hour - 1)
	sees(t, c, lesson("l1"), "c1", 0)
	sees(t, c, course("c1"), "c1", 0)
	now.pass(1)
	if _, err := c.Record(t.Context(), course("c1")); !errors.Is(err, media.Unavailable) {
		t.Errorf("after a day: %v", err)
	}
}

func TestWhatIsSaidOfADatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		said bool
	}{
		"it is away":              {media.Unavailable, true},
		"it fails":                {errors.New("broken"), true},
		"it does not have that":   {media.NotFound, false},
		"there can be no such id": {media.Errorf(media.Invalid, "an id of 3 bytes"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said bytes.Buffer
			r, s, _ := setup(t, cache.Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
			s.change(func() { s.err = c.err })
			for range 3 {
				if _, err := r.Record(t.Context(), course("c1")); !errors.Is(err, c.err) {
					t.Errorf("Record: %v, want %v", err, c.err)
				}
				r.Invalidate(course("c1"))
			}
			s.change(func() { s.err = nil })
			sees(t, r, course("c1"), "c1", 2)
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			away, back := strings.Count(said.String(), "lookups fail"), strings.Count(said.String(), "answered again")
			if want := map[bool]int{true: 1}[c.said]; away != want || back != want || want > 0 && !strings.Contains(said.String(), "of=records") {
				t.Errorf("want it said %d times: %s", want, said.String())
			}
		})
	}
}

// library has records of 64 KiB.
type library struct{ school }

func (*library) Record(_ context.Context, s media.Subject) (media.Record, error) {
	chapters := make([]any, 64)
	for i := range chapters {
		chapters[i] = map[string]any{"text": fmt.Sprintf("%01000d", i)}
	}
	return media.Record{Subject: s, Version: "1", Fields: map[string]any{"chapters": chapters}}, nil
}

func TestRecordsAreBoundedByTheirSize(t *testing.T) {
	t.Parallel()
	c, err := cache.NewRecords(&library{}, cache.Options{Size: 1024, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for n := range 200 {
		if _, err := c.Record(t.Context(), course(strconv.Itoa(n))); err != nil {
			t.Fatal(err)
		}
	}
	livetest.Until(t, 5*time.Second, "no more is kept than 16 records of 64 KiB in 1 MiB, and some", func() bool {
		known := 0
		for n := range 200 {
			if c.Knows(course(strconv.Itoa(n))) {
				known++
			}
		}
		return known <= 16 && known > 4
	})
}

func TestOptionsOfTheOthersAreChecked(t *testing.T) {
	t.Parallel()
	if _, err := cache.NewRecords(&school{}, cache.Options{Size: -1}); err == nil {
		t.Error("records take a size of -1")
	}
	if _, err := cache.NewPlaces(&shelf{}, nil, cache.Options{TTL: -1}); err == nil {
		t.Error("places take a TTL of -1")
	}
}

func benchmarkRecords(b *testing.B, read func(c *cache.Records) error) {
	c, s, _ := setup(b, cache.Options{TTL: time.Hour, MissFor: time.Hour})
	s.bought["u"] = []media.Subject{course("c1"), course("c2")}
	b.ReportAllocs()
	for b.Loop() {
		if err := read(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecordHit(b *testing.B) {
	benchmarkRecords(b, func(c *cache.Records) error {
		_, err := c.Record(b.Context(), course("c1"))
		return err
	})
}

func BenchmarkLessonHit(b *testing.B) {
	benchmarkRecords(b, func(c *cache.Records) error {
		_, err := c.Record(b.Context(), lesson("l1"))
		return err
	})
}
