package curation_test

import (
	"testing"

	"sluice/curation"
	"sluice/media"
)

// What each person is told, in the order of TestWhoMayDoWhatInTheLMS: the admin, the owner, another instructor, a student whose order grants
// the course, another student, the owner now a student, somebody without a role, a holder of an upload grant, nobody.
const (
	yes     = "yes"
	missing = "not found"
	login   = "unauthenticated"
	no      = "forbidden"
	bad     = "invalid"
)

// TestWhoMayDoWhatInTheLMS goes through every operation, role and ownership, for a course that is published and for one that is not.
func TestWhoMayDoWhatInTheLMS(t *testing.T) {
	t.Parallel()
	const buyer = "aaaaaaaaaaaaaaaaaaaaaaaa"
	people := []struct {
		name string
		p    media.Principal
	}{
		{"admin", who("root", media.Admin)},
		{"owner", who("ida", media.Instructor)},
		{"other instructor", who("ivo", media.Instructor)},
		{"student who bought it", who(buyer, media.Student)},
		{"student", who("eve", media.Student)},
		{"owner now a student", who("ida", media.Student)},
		{"no role", who("ida")},
		{"upload grant", media.Principal{Grant: &media.UploadGrant{Owner: "ida"}}},
		{"nobody", media.Principal{}},
	}
	all := []string{yes, yes, yes, yes, yes, yes, yes, yes, yes}
	changes := map[bool][]string{
		true:  {yes, yes, no, no, no, no, no, login, login},
		false: {yes, yes, missing, no, missing, missing, missing, login, login},
	}
	hangs := map[bool][]string{ // a private video: who may not see it does not learn of it
		true:  {yes, yes, missing, no, missing, missing, missing, login, login},
		false: {yes, yes, missing, no, missing, missing, missing, login, login},
	}
	sees := []string{yes, yes, missing, yes, missing, missing, missing, missing, missing}
	admins := []string{yes, no, no, no, no, no, no, login, login}
	title := "Mine"
	type scene struct {
		*school
		course       media.Subject
		video, spare media.AssetID
	}
	q := func(s scene) media.PlaceQuery {
		return media.PlaceQuery{Kind: media.CourseVideo, CourseID: s.course.ID}
	}
	operations := []struct {
		name string
		do   func(*testing.T, scene, media.Principal) error
		want map[bool][]string // by whether the course is published
	}{
		{"read the course", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.View(t.Context(), p, s.course)
			return err
		}, map[bool][]string{true: all, false: sees}},
		{"list its videos", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.List(t.Context(), p, q(s))
			return err
		}, map[bool][]string{true: all, false: sees}},
		{"see a private video there", func(t *testing.T, s scene, p media.Principal) error {
			v, err := s.View(t.Context(), p, s.course)
			if err == nil && len(v.Videos) == 0 {
				return media.NotFound
			}
			return err
		}, map[bool][]string{true: sees, false: sees}},
		{"read its private video", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.media.Read(t.Context(), p, s.video)
			return err
		}, map[bool][]string{true: sees, false: sees}},
		{"read its place", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.Place(t.Context(), p, media.CourseVideo, s.course, s.video)
			return err
		}, map[bool][]string{true: sees, false: sees}},
		{"read its public video's place", func(t *testing.T, s scene, p media.Principal) error {
			public := true
			if _, err := s.ChangePlace(t.Context(), who("root", media.Admin), media.CourseVideo, s.course, s.video, 0, media.PlaceChange{Public: &public}); err != nil {
				t.Fatal(err)
			}
			_, err := s.Place(t.Context(), p, media.CourseVideo, s.course, s.video)
			return err
		}, map[bool][]string{true: all, false: sees}},
		{"make a course", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.Create(t.Context(), p, curation.NewRecord{Type: media.Course, Fields: map[string]any{"title": "Another"}})
			return err
		}, map[bool][]string{true: {yes, yes, yes, no, no, no, no, login, login}}},
		{"change the course", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.LMS.Change(t.Context(), p, s.course, nil, map[string]any{"title": title})
			return err
		}, changes},
		{"publish the course", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.LMS.Change(t.Context(), p, s.course, nil, map[string]any{"published": true})
			return err
		}, changes},
		{"delete the course", func(t *testing.T, s scene, p media.Principal) error {
			return s.LMS.Delete(t.Context(), p, s.course, nil, false)
		}, changes},
		{"restore the course", func(t *testing.T, s scene, p media.Principal) error {
			if err := s.LMS.Delete(t.Context(), who("root", media.Admin), s.course, nil, false); err != nil {
				t.Fatal(err)
			}
			_, err := s.Restore(t.Context(), p, s.course)
			return err
		}, map[bool][]string{true: {yes, yes, missing, missing, missing, missing, missing, login, login}}},
		{"add a video by its URL", func(t *testing.T, s scene, p media.Principal) error {
			a := elsewhere("https://cdn.example.com/v.mp4")
			a.Placement = media.Placement{Kind: media.CourseVideo, CourseID: s.course.ID, VideoType: media.IntroVideo}
			_, err := s.Attach(t.Context(), p, a)
			return err
		}, changes},
		{"add the owner's upload", func(t *testing.T, s scene, p media.Principal) error {
			a := image(s.spare)
			a.Placement = media.Placement{Kind: media.CourseVideo, CourseID: s.course.ID, VideoType: media.IntroVideo}
			_, err := s.Attach(t.Context(), p, a)
			return err
		}, changes},
		{"change its video", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.ChangePlace(t.Context(), p, media.CourseVideo, s.course, s.video, 0, media.PlaceChange{Title: &title})
			return err
		}, hangs},
		{"replace its video", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.ChangePlace(t.Context(), p, media.CourseVideo, s.course, s.video, 0, media.PlaceChange{By: s.spare})
			return err
		}, hangs},
		{"put its videos in order", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.Reorder(t.Context(), p, q(s), []media.AssetID{s.video})
			return err
		}, changes},
		{"delete its video", func(t *testing.T, s scene, p media.Principal) error {
			return s.TakeAway(t.Context(), p, media.CourseVideo, s.course, s.video, 0, false)
		}, hangs},
		{"restore its video", func(t *testing.T, s scene, p media.Principal) error {
			if err := s.TakeAway(t.Context(), who("root", media.Admin), media.CourseVideo, s.course, s.video, 0, false); err != nil {
				t.Fatal(err)
			}
			_, err := s.PutBack(t.Context(), p, s.video)
			return err
		}, map[bool][]string{true: {yes, yes, missing, missing, missing, missing, missing, login, login}, false: {yes, yes, missing, missing, missing, missing, missing, login, login}}},
		{"throw its video away", func(t *testing.T, s scene, p media.Principal) error {
			if err := s.TakeAway(t.Context(), who("root", media.Admin), media.CourseVideo, s.course, s.video, 0, false); err != nil {
				t.Fatal(err)
			}
			return s.ThrowAway(t.Context(), p, s.video)
		}, map[bool][]string{true: {yes, yes, missing, missing, missing, missing, missing, login, login}}},
		{"look into the trash", func(t *testing.T, s scene, p media.Principal) error {
			_, _, err := s.Trash(t.Context(), p, 0, "")
			return err
		}, map[bool][]string{true: {yes, yes, yes, yes, yes, yes, yes, login, login}}},
		{"put media of one's own into it", func(t *testing.T, s scene, p media.Principal) error {
			own := s.stored(t, p.Subject, false)
			to := media.Placement{Kind: media.CourseVideo, CourseID: s.course.ID, VideoType: media.IntroVideo}
			_, err := s.media.Change(t.Context(), p, own, 0, media.Change{Placement: &to})
			return err
		}, map[bool][]string{
			true:  {yes, yes, no, missing, missing, missing, missing, login, login},
			false: {yes, yes, bad, missing, missing, missing, missing, login, login},
		}},
		{"write a record as it is", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.Keep(t.Context(), p, media.Record{Subject: media.Subject{Type: media.User, ID: buyer}, Fields: map[string]any{"name": "Sam"}})
			return err
		}, map[bool][]string{true: admins}},
		{"read a record as it is", func(t *testing.T, s scene, p media.Principal) error {
			_, err := s.Look(t.Context(), p, s.course)
			return err
		}, map[bool][]string{true: admins}},
		{"remove a record as it is", func(t *testing.T, s scene, p media.Principal) error {
			return s.Remove(t.Context(), p, s.course)
		}, map[bool][]string{true: admins}},
	}
	for _, op := range operations {
		for published, want := range op.want {
			for i, person := range people {
				visibility := map[bool]string{true: "published", false: "unpublished"}[published]
				t.Run(op.name+"/"+visibility+"/"+person.name, func(t *testing.T) {
					t.Parallel()
					s := scene{school: enrol(t, curation.LMSOptions{}, nil)}
					s.course, s.video, s.spare = s.taught(t, published, buyer)
					err := op.do(t, s, person.p)
					got := yes
					if err != nil {
						got = media.KindOf(err).Error()
					}
					if got != want[i] {
						t.Errorf("got %s (%v), want %s", got, err, want[i])
					}
				})
			}
		}
	}
}

// taught makes a course of ida's with a private video, an upload of hers that hangs nowhere, and an order of the buyer's.
func (s *school) taught(t *testing.T, published bool, buyer string) (course media.Subject, video, spare media.AssetID) {
	t.Helper()
	ida := who("ida", media.Instructor)
	v, err := s.Create(t.Context(), ida, curation.NewRecord{Type: media.Course, Fields: map[string]any{"title": "Woodwork", "published": published}})
	if err != nil {
		t.Fatal(err)
	}
	course, video, spare = v.Record.Subject, s.stored(t, "ida", false), s.stored(t, "ida", false)
	a := image(video)
	a.Placement = media.Placement{Kind: media.CourseVideo, CourseID: course.ID, VideoType: media.LessonVideo}
	if _, err := s.Attach(t.Context(), ida, a); err != nil {
		t.Fatal(err)
	}
	order := media.Record{
		Subject: media.Subject{Type: media.Order, ID: media.NewRecordID(now)},
		Fields:  map[string]any{"user": buyer, "status": "paid", "items": []any{map[string]any{"courseId": course.ID}}},
	}
	if _, err := s.records.Put(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	return course, video, spare
}
