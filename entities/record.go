package entities

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"time"

	"sluice/media"
)

// TimeLayout is how times stand in Fields: RFC 3339 in UTC with milliseconds, as JavaScript writes them.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// record shows a document.
func record(t media.SubjectType, d Document) media.Record {
	r := media.Record{
		Subject: media.Subject{Type: t, ID: d.ID}, Fields: map[string]any{}, Owner: OwnerOf(t, d), Published: Published(d),
		Version: d.Version, CreatedAt: d.CreatedAt(), UpdatedAt: d.UpdatedAt(), DeletedAt: d.BuriedAt,
	}
	for k, v := range d.Fields {
		if k == "id" || k == "_id" || hidden(k) || t == media.User && !slices.Contains([]string{"name", "title", "displayName", "role"}, k) {
			continue
		}
		r.Fields[k] = shown(v)
	}
	return r
}

// shown is a value as JSON has it.
func shown(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(TimeLayout)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil // JSON has none
		}
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = shown(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			switch _, native := v["_id"]; {
			case hidden(k) || k == "id" && native:
			case k == "_id":
				out["id"] = shown(e)
			default:
				out[k] = shown(e)
			}
		}
		return out
	}
	return v
}

// hidden are members that no stranger sees and nobody writes through here: marks of Sluice's own and of mongoose, and secrets that an LMS
// keeps with its users, wherever such an object was copied to.
func hidden(name string) bool {
	if strings.HasPrefix(name, "sluice") || name == "__v" {
		return true
	}
	var letters [20]byte // as many as it takes to tell; a read asks this of each member
	n := 0
	for i := 0; i < len(name) && n < len(letters); i++ {
		if c := name[i]; c != '_' && c != '-' {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			letters[n] = c
			n++
		}
	}
	switch plain := letters[:n]; string(plain) {
	case "salt", "passwd", "hashedpassword", "resettoken", "refreshtoken", "refreshtokens", "accesstoken", "apikey", "verificationtoken", "otp", "twofactorsecret":
		return true
	default:
		return bytes.HasPrefix(plain, []byte("password")) || bytes.HasPrefix(plain, []byte("resetpassword"))
	}
}

// OwnerFields are the members that may tell who made a record, the strongest first. Of users it is the user.
func OwnerFields(t media.SubjectType) []string {
	switch t {
	case media.Product, media.Course:
		return []string{"createdBy", "instructor", "seller", "owner", "userId", "user"}
	case media.Review, media.Order:
		return []string{"user", "userId", "buyer"}
	case media.User, media.Lesson, media.Page:
	}
	return nil
}

// OwnerOf is the subject of who made a record: of the first of OwnerFields that is there and neither null nor "", the text, or the text
// _id or else id of the object. "" when there is none.
func OwnerOf(t media.SubjectType, d Document) string {
	if t == media.User {
		return d.ID
	}
	for _, k := range OwnerFields(t) {
		if v := d.Fields[k]; v != nil && v != "" {
			return idOf(v)
		}
	}
	return ""
}

// idOf is the id that a member tells: a text, or an object with its id.
func idOf(v any) string {
	if m, ok := v.(map[string]any); ok {
		if v = m["_id"]; v == nil {
			v = m["id"]
		}
	}
	s, _ := v.(string)
	return s
}

// Published reports whether everybody may see a record: unless published or isPublished is false, or status is one of HiddenStates, however it is spelt.
func Published(d Document) bool {
	status, _ := d.Fields["status"].(string)
	if d.Fields["published"] == false || d.Fields["isPublished"] == false {
		return false
	}
	for _, s := range hiddenStates() {
		if strings.EqualFold(s, status) {
			return false
		}
	}
	return true
}

func hiddenStates() [16]string {
	return [...]string{
		"draft", "unpublished", "private", "hidden", "archived", "inactive", "disabled", "pending", "review", "in_review", "in review", "in-review",
		"rejected", "deleted", "suspended", "scheduled",
	}
}

// HiddenStates are the values of status that keep a record from everybody but who manages it, as LMSs spell them.
func HiddenStates() []string {
	var all []string
	for _, s := range hiddenStates() {
		all = append(all, s, strings.ToUpper(s), strings.ToUpper(s[:1])+s[1:])
	}
	return all
}

func pending(d Document) bool { return d.Fields[PendingMember] != nil }

// pendingFor reports whether a document is pending for one work, and not for another that was to make the same.
func pendingFor(d *Document, work string) bool {
	return d != nil && work != "" && d.Fields[PendingMember] == work
}
