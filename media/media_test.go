package media_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"sluice/media"
)

func TestStateMovesForwardOnly(t *testing.T) {
	t.Parallel()
	states := []media.State{media.Uploading, media.Stored, media.Processing, media.Ready, media.Failed}
	allowed := map[[2]media.State]bool{
		{media.Uploading, media.Stored}:  true,
		{media.Stored, media.Processing}: true,
		{media.Stored, media.Ready}:      true,
		{media.Stored, media.Failed}:     true,
		{media.Processing, media.Ready}:  true,
		{media.Processing, media.Failed}: true,
	}
	for _, from := range states {
		for _, to := range states {
			if got, want := from.CanBecome(to), allowed[[2]media.State{from, to}]; got != want {
				t.Errorf("%s.CanBecome(%s) = %v, want %v", from, to, got, want)
			}
		}
	}
	if media.State("other").CanBecome(media.Ready) || media.State("other").Finished() {
		t.Error("an unknown state leads somewhere")
	}
	if media.Uploading.Finished() || !media.Failed.Finished() {
		t.Error("Finished is not what it says")
	}
}

func TestErrorCarriesItsKindThroughWrapping(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("uploads: begin: %w", media.Wrap(media.Unavailable, io.ErrUnexpectedEOF, "the catalogue is away"))
	if !errors.Is(err, media.Unavailable) || errors.Is(err, media.Internal) {
		t.Errorf("errors.Is does not see the kind of %v", err)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("errors.Is does not see the cause of %v", err)
	}
	for _, c := range []struct {
		err  error
		want media.Kind
	}{
		{err, media.Unavailable},
		{media.Gone, media.Gone},
		{fmt.Errorf("x: %w", media.NotFound), media.NotFound},
		{io.EOF, media.Internal},
		{media.Wrap(media.Locked, media.NotFound, "outermost wins"), media.Locked},
	} {
		if got := media.KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestTypeOf(t *testing.T) {
	t.Parallel()
	for mime, want := range map[string]media.Type{
		"video/mp4": media.Video, "image/svg+xml": media.Image, "audio/ogg": media.Audio,
		"application/pdf": media.Document, "": media.Document, "video": media.Document, "videos/x": media.Document,
	} {
		if got := media.TypeOf(mime); got != want {
			t.Errorf("TypeOf(%q) = %s, want %s", mime, got, want)
		}
	}
}

func TestPrincipalManages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		p     media.Principal
		owner string
		want  bool
	}{
		{"an admin manages all", media.Principal{Subject: "a", Roles: []media.Role{media.Admin}}, "u1", true},
		{"an instructor manages their own", media.Principal{Subject: "u1", Roles: []media.Role{media.Instructor}}, "u1", true},
		{"an instructor does not manage others'", media.Principal{Subject: "u2", Roles: []media.Role{media.Instructor}}, "u1", false},
		{"a student manages nothing", media.Principal{Subject: "u1", Roles: []media.Role{media.Student}}, "u1", false},
		{"nobody manages what has no owner", media.Principal{Roles: []media.Role{media.Instructor}}, "", false},
	} {
		if got := c.p.Manages(c.owner); got != c.want {
			t.Errorf("%s: Manages = %v", c.name, got)
		}
	}
}

func TestValidEntityID(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"507f1f77bcf86cd799439011": true, "507F1F77BCF86CD799439011": false, "507f1f77bcf86cd79943901": false,
		"507f1f77bcf86cd7994390111": false, `{"$ne":null}............`: false, "": false,
	} {
		if got := media.ValidEntityID(s); got != want {
			t.Errorf("ValidEntityID(%q) = %v", s, got)
		}
	}
}

func TestSessionOf(t *testing.T) {
	t.Parallel()
	if got := media.SessionOf(""); got != (media.Session{}) {
		t.Errorf("nobody: got %x, want zero", got)
	}
	a, b := media.SessionOf("ann"), media.SessionOf("bob")
	if a == b || a == (media.Session{}) || a != media.SessionOf("ann") {
		t.Errorf("got %x and %x, want two stable sessions", a, b)
	}
	if bytes.Contains(a[:], []byte("ann")) {
		t.Errorf("the session %q shows the viewer", a)
	}
}

// The ids of denials are the names of rows that are there: they stay.
func TestDenialIDsAreForEver(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range []struct {
		d    media.Denial
		want string
	}{
		{media.Denial{Viewer: "ann"}, "b5a51c8749a09d2a922804e7a37d711e"},
		{media.Denial{Viewer: "ann", Key: 7}, "b5a51c8749a09d2a922804e7a37d711e"}, // without OfKey it names none
		{media.Denial{Viewer: "ann", CourseID: "507f1f77bcf86cd799439011", Asset: media.AssetID{1}}, "55a7961a1e738b794897a3e52e2099ca"},
		{media.Denial{OfKey: true}, "6bf4f5d2adbb2555538bb990964cd854"},
		{media.Denial{OfKey: true, Key: 255}, ""},
		{media.Denial{}, ""},
	} {
		got := c.d.DenialID()
		if c.want != "" && got != c.want || c.d.Key != 7 && seen[got] {
			t.Errorf("%+v: got %s, want %s", c.d, got, c.want)
		}
		seen[got] = true
	}
}
