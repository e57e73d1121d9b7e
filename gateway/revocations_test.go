package gateway_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/gateway"
	"sluice/media"
)

// denials is playback.Denials in memory, for one request at a time.
type denials struct {
	list []media.Denial
}

func (s *denials) Deny(_ context.Context, d media.Denial) (media.Denial, error) {
	s.list = slices.DeleteFunc(s.list, func(o media.Denial) bool { return o.ID == d.ID })
	s.list = append(s.list, d)
	return d, nil
}

func (s *denials) Denials(context.Context) ([]media.Denial, error) { return s.list, nil }

func (s *denials) Lift(_ context.Context, id string) error {
	n := len(s.list)
	if s.list = slices.DeleteFunc(s.list, func(d media.Denial) bool { return d.ID == id }); len(s.list) == n {
		return &media.Error{Kind: media.NotFound, Code: "revocation_not_found", Detail: "no such revocation"}
	}
	return nil
}

func (s *denials) DropDenials(context.Context) error { return nil }

// signer is a playback.Signer of one key.
type signer uint8

func (s signer) Signer() uint8 { return uint8(s) }

func TestRevocationsOfKeys(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	root := as("root", "admin")
	var made gateway.Revocation
	for _, body := range []string{`{"key":0}`, `{"key":0,"expiresIn":60}`} {
		resp, answer := w.do("POST", "/api/revocations", body, root)
		if err := json.Unmarshal([]byte(answer), &made); err != nil || resp.StatusCode != 201 || made.Key == nil || *made.Key != 0 || made.ID == "" {
			t.Fatalf("%s: got %d %s, %v", body, resp.StatusCode, answer, err)
		}
	}
	if _, body := w.do("GET", "/api/revocations", "", root); strings.Count(body, `"key":0`) != 1 || strings.Contains(body, "viewer") {
		t.Errorf("listed: %s", body)
	}
	for body, want := range map[string]struct {
		status int
		code   string
	}{
		`{"key":2}`:               {409, "key_signs"},
		`{"key":1,"viewer":"u1"}`: {400, "key_not_alone"},
		`{"key":1,"mediaId":"` + idOf(1).String() + `"}`: {400, "key_not_alone"},
		`{"key":256}`:       {400, ""},
		`{"key":-1}`:        {400, ""},
		`{"key":1.5}`:       {400, ""},
		`{"key":"1"}`:       {400, ""},
		`{"key":null}`:      {400, ""},
		`{"key":1,"key":2}`: {400, ""},
	} {
		if resp, answer := w.do("POST", "/api/revocations", body, root); resp.StatusCode != want.status || !strings.Contains(answer, want.code) {
			t.Errorf("%s: got %d %s, want %+v", body, resp.StatusCode, answer, want)
		}
	}
	if resp, body := w.do("DELETE", "/api/revocations/"+made.ID, "", root); resp.StatusCode != 204 {
		t.Errorf("lift: got %d %s", resp.StatusCode, body)
	}
}

func TestRevocationsComeAndGo(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	w.furnish()
	root, links := as("root", "admin"), "/api/media/"+idOf(1).String()+"/links"
	var made gateway.Revocation
	for _, life := range []string{"3600", "3600"} { // the same again is the same
		resp, body := w.do("POST", "/api/revocations", `{"viewer":"sam","mediaId":"`+idOf(1).String()+`","expiresIn":`+life+`}`, root)
		if err := json.Unmarshal([]byte(body), &made); err != nil || resp.StatusCode != 201 || !made.ExpiresAt.Equal(now.Add(time.Hour)) || made.MediaID != idOf(1).String() {
			t.Fatalf("got %d %s, %v", resp.StatusCode, body, err)
		}
	}
	if resp, body := w.do("POST", links, `{"viewer":"sam"}`, as("ida", "instructor")); resp.StatusCode != 403 || !strings.Contains(body, "link_revoked") {
		t.Errorf("a link for who is denied: %d %s", resp.StatusCode, body)
	}
	_, batch := w.do("POST", "/api/links", `{"items":[{"id":"`+idOf(1).String()+`","viewer":"sam"},{"id":"`+idOf(1).String()+`","viewer":"sue"}]}`, as("ida", "instructor"))
	if strings.Count(batch, `"code":"link_revoked"`) != 1 || strings.Count(batch, `"url"`) != 1 {
		t.Errorf("a batch with one who is denied: %s", batch)
	}
	var list struct{ Items []gateway.Revocation }
	if _, body := w.do("GET", "/api/revocations", "", root); json.Unmarshal([]byte(body), &list) != nil || len(list.Items) != 1 || list.Items[0] != made {
		t.Errorf("listed: %s", body)
	}
	for _, want := range []int{204, 404} {
		if resp, body := w.do("DELETE", "/api/revocations/"+made.ID, "", root); resp.StatusCode != want {
			t.Errorf("lift: got %d %s, want %d", resp.StatusCode, body, want)
		}
	}
	if resp, body := w.do("POST", links, `{"viewer":"sam"}`, as("ida", "instructor")); resp.StatusCode != 201 {
		t.Errorf("a link after the lift: %d %s", resp.StatusCode, body)
	}
}

func TestRevocationsAreForAdmins(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	for who, want := range map[string]int{"X-Nobody: 1": 401, as("sam", "student"): 403, as("ida", "instructor"): 403} {
		for _, r := range [][3]string{{"POST", "/api/revocations", `{"viewer":"u1"}`}, {"GET", "/api/revocations", ""}, {"DELETE", "/api/revocations/x", ""}} {
			if resp, body := w.do(r[0], r[1], r[2], who); resp.StatusCode != want {
				t.Errorf("%s by %.30s: got %d %s, want %d", r[0], who, resp.StatusCode, body, want)
			}
		}
	}
	if list, err := w.denied.Denials(t.Context(), media.Principal{Subject: "root", Roles: []media.Role{media.Admin}}); err != nil || len(list) != 0 {
		t.Errorf("something was denied: %v %v", list, err)
	}
}
