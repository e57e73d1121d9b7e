package signing

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sluice/media"
)

// A sealed grant is base64url of: version, key id, the grant as JSON, and a whole HMAC-SHA256 over label and all of that. It is readable
// by whoever holds it, and changeable by nobody.
const (
	grantVersion = 1
	grantHead    = 2
	grantLabel   = "sluice upload grant 1\x00"

	// maxGrant bounds what is hashed for a stranger. A grant travels in a header, where 8 KiB is what proxies let through.
	maxGrant = 8 << 10
)

// wireGrant is the JSON of a sealed grant. The names are the format: a renamed field would refuse the grants that are out.
type wireGrant struct {
	ID        string         `json:"id"`
	Owner     string         `json:"owner"`
	Expires   int64          `json:"exp"` // Unix seconds
	MaxSize   int64          `json:"maxSize,omitempty"`
	MIMETypes []string       `json:"types,omitempty"`
	Placement *wirePlacement `json:"placement,omitempty"`
	Backend   string         `json:"backend,omitempty"`
}

type wirePlacement struct {
	Kind          media.PlacementKind `json:"kind,omitempty"`
	ProductID     string              `json:"product,omitempty"`
	CourseID      string              `json:"course,omitempty"`
	LessonID      string              `json:"lesson,omitempty"`
	ModuleID      string              `json:"module,omitempty"`
	VideoType     media.VideoType     `json:"videoType,omitempty"`
	ResourceName  string              `json:"resourceName,omitempty"`
	ResourceType  media.ResourceType  `json:"resourceType,omitempty"`
	AltText       string              `json:"altText,omitempty"`
	MainImage     bool                `json:"main,omitempty"`
	Position      int                 `json:"position,omitempty"`
	ReferenceType media.SubjectType   `json:"refType,omitempty"`
	ReferenceID   string              `json:"ref,omitempty"`
}

// SealGrant makes the text of an upload grant. A grant too large to travel in a header is media.Invalid. The expiry is cut to whole
// seconds.
func (r *Ring) SealGrant(g media.UploadGrant, expires time.Time) (string, error) {
	w := wireGrant{ID: g.ID, Owner: g.Owner, Expires: expires.Unix(), MaxSize: g.MaxSize, MIMETypes: g.MIMETypes, Backend: g.Backend}
	if p := g.Placement; p != nil {
		w.Placement = &wirePlacement{
			Kind: p.Kind, ProductID: p.ProductID, CourseID: p.CourseID, LessonID: p.LessonID, ModuleID: p.ModuleID, VideoType: p.VideoType,
			ResourceName: p.ResourceName, ResourceType: p.ResourceType, AltText: p.AltText, MainImage: p.MainImage, Position: p.Position,
			ReferenceType: p.Reference.Type, ReferenceID: p.Reference.ID,
		}
	}
	text, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("signing: seal a grant: %w", err)
	}
	raw := append([]byte{grantVersion, r.signer.id}, text...)
	raw = r.signer.sealed(raw, raw)
	if r.enc.EncodedLen(len(raw)) > maxGrant {
		return "", media.Errorf(media.Invalid, "an upload grant of this size cannot be carried in a request")
	}
	return r.enc.EncodeToString(raw), nil
}

// sealed appends the MAC of body to dst.
func (k *key) sealed(dst, body []byte) []byte {
	st := k.state()
	defer k.states.Put(st)
	st.mac.Reset()
	st.mac.Write([]byte(grantLabel))
	st.mac.Write(body)
	return st.mac.Sum(dst)
}

// OpenGrant reads a sealed grant. What this ring did not seal is media.Forbidden, what it sealed and is over media.Gone. That a grant is
// used once is for the ledger to see to.
func (r *Ring) OpenGrant(s string) (media.UploadGrant, error) {
	// The standard decoder skips CR and LF, so that one grant had many spellings.
	if len(s) > maxGrant || strings.ContainsAny(s, "\r\n") {
		return media.UploadGrant{}, errGrant(nil)
	}
	raw, err := r.enc.DecodeString(s)
	if err != nil || len(raw) < grantHead+sha256.Size || raw[0] != grantVersion {
		return media.UploadGrant{}, errGrant(err)
	}
	k := r.keys[raw[1]]
	if k == nil {
		return media.UploadGrant{}, errGrant(nil)
	}
	body, mac := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if !hmac.Equal(mac, k.sealed(nil, body)) {
		return media.UploadGrant{}, errGrant(nil)
	}
	var w wireGrant
	d := json.NewDecoder(bytes.NewReader(body[grantHead:]))
	d.DisallowUnknownFields() // a restriction that a newer node sealed in and this one does not know must not be dropped
	if err := d.Decode(&w); err != nil {
		return media.UploadGrant{}, errGrant(err)
	}
	if !r.now().Before(time.Unix(w.Expires, 0)) {
		return media.UploadGrant{}, &media.Error{Kind: media.Gone, Code: "grant_expired", Detail: "this upload grant has expired"}
	}
	return w.grant(), nil
}

func (w wireGrant) grant() media.UploadGrant {
	g := media.UploadGrant{ID: w.ID, Owner: w.Owner, MaxSize: w.MaxSize, MIMETypes: w.MIMETypes, Backend: w.Backend}
	if p := w.Placement; p != nil {
		g.Placement = &media.Placement{
			Kind: p.Kind, ProductID: p.ProductID, CourseID: p.CourseID, LessonID: p.LessonID, ModuleID: p.ModuleID, VideoType: p.VideoType,
			ResourceName: p.ResourceName, ResourceType: p.ResourceType, AltText: p.AltText, MainImage: p.MainImage, Position: p.Position,
			Reference: media.Subject{Type: p.ReferenceType, ID: p.ReferenceID},
		}
	}
	return g
}

func errGrant(cause error) error {
	return &media.Error{Kind: media.Forbidden, Code: "bad_grant", Detail: "this upload grant is not valid", Err: cause}
}
