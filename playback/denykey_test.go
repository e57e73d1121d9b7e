package playback_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/media"
	"sluice/playback"
	"sluice/signing"
)

// signer is a playback.Signer of one key.
type signer uint8

func (s signer) Signer() uint8 { return uint8(s) }

func ringOf(t *testing.T, keys ...signing.Key) *signing.Ring {
	t.Helper()
	for i := range keys {
		keys[i].Secret = bytes.Repeat([]byte{keys[i].ID}, 32)
	}
	r, err := signing.New(keys, signing.Options{})
	must(t, err)
	return r
}

func TestADeniedKeyOpensNothing(t *testing.T) {
	t.Parallel()
	for _, id := range []uint8{0, 1, 255} {
		old := ringOf(t, signing.Key{ID: id, Use: signing.Sign})
		now := ringOf(t, signing.Key{ID: id, Use: signing.Verify}, signing.Key{ID: 7, Use: signing.Sign})
		denied := playback.NewDenylist(&ledger{}, playback.DenylistOptions{Signer: now})
		h := openRing(t, choices{Options: playback.Options{Denied: denied}}, now)
		a := h.add(noise(9), in(course))
		h.ring = old
		before := h.ticket(a, nil)
		h.ring = now
		after := h.ticket(a, nil)
		if h.do(http.MethodGet, before).status != 200 || h.do(http.MethodGet, after).status != 200 {
			t.Fatal("they do not play")
		}
		d, err := denied.Deny(t.Context(), admin, playback.DenialRequest{OfKey: true, Key: id})
		must(t, err)
		again, err := denied.Deny(t.Context(), admin, playback.DenialRequest{OfKey: true, Key: id})
		if err != nil || again.ID != d.ID {
			t.Errorf("key %d denied again: %v, %v", id, again, err)
		}
		for _, header := range [][]string{nil, {"If-None-Match", "*"}, {"Range", "bytes=0-0"}, {"Range", "bytes=99-"}} {
			got := h.do(http.MethodGet, before, header...)
			if got.status != 403 || !strings.Contains(string(got.body), `"link_revoked"`) {
				t.Errorf("key %d, %v: got %d %s, want 403", id, header, got.status, got.body)
			}
		}
		if got := h.do(http.MethodGet, after).status; got != 200 {
			t.Errorf("a link of another key: got %d", got)
		}
		if _, err := h.links.Link(t.Context(), admin, a.ID, playback.LinkRequest{}); err != nil {
			t.Errorf("a new link: %v", err)
		}
		must(t, denied.Lift(t.Context(), admin, d.ID))
		if got := h.do(http.MethodGet, before).status; got != 200 {
			t.Errorf("key %d lifted: got %d", id, got)
		}
	}
}

// A node that still signs with a key that another one revoked must not hand out links that are dead at birth.
func TestANodeThatSignsWithARevokedKeySignsNothing(t *testing.T) {
	t.Parallel()
	source := &ledger{}
	there := playback.NewDenylist(source, playback.DenylistOptions{Signer: signer(2)})
	ring := ringOf(t, signing.Key{ID: 1, Use: signing.Sign})
	var said bytes.Buffer
	here := playback.NewDenylist(source, playback.DenylistOptions{Signer: ring, Logger: slog.New(slog.NewJSONHandler(&said, nil))})
	var id media.AssetID
	h := openRing(t, choices{Options: playback.Options{Denied: here, OpenPlayGrant: func(viewer string) (playback.PlayGrant, error) {
		return playback.PlayGrant{Asset: id, Use: media.Play, Viewer: viewer, Expires: time.Now().Add(time.Hour)}, nil
	}}}, ring)
	a := h.add(noise(9), nil)
	id = a.ID
	sign := func(want error) {
		t.Helper()
		_, err := h.links.Link(t.Context(), admin, a.ID, playback.LinkRequest{Viewer: "bob"})
		_, own := h.links.ContentURL(t.Context(), a)
		if !errors.Is(err, want) || !errors.Is(own, want) {
			t.Errorf("got %v and %v, want %v", err, own, want)
		}
		status := map[bool]int{true: 302, false: 503}[want == nil]
		if got := h.do(http.MethodGet, h.server.URL+"/play/"+id.String()+"?grant=bob"); got.status != status {
			t.Errorf("a grant: got %d, want %d", got.status, status)
		}
	}
	sign(nil)
	d, err := there.Deny(t.Context(), admin, playback.DenialRequest{OfKey: true, Key: 1})
	must(t, err)
	_, err = there.Deny(t.Context(), admin, playback.DenialRequest{Viewer: "sue"})
	must(t, err)
	for range 3 {
		must(t, here.Load(t.Context()))
	}
	sign(media.Unavailable)
	must(t, there.Lift(t.Context(), admin, d.ID))
	must(t, here.Load(t.Context()))
	sign(nil)
	if n := strings.Count(said.String(), "the key that signs here is revoked"); n != 1 {
		t.Errorf("said %d times, want once: %s", n, said.String())
	}
}
