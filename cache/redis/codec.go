package redis

import (
	"encoding/binary"
	"errors"
	"time"

	"sluice/media"
)

// assetVersion is the first byte of a written asset. It moves with each change of fields, so that nodes of two versions side by side take
// each other's values for nothing instead of for something else.
const assetVersion = 2

var errFormat = errors.New("not an asset of this version")

// encodeAsset writes an asset, every field in the order of media.Asset: texts byte for byte behind their length, numbers as varints, times
// as seconds and nanoseconds.
func encodeAsset(a media.Asset) []byte {
	w := writer{b: make([]byte, 0, 512)}
	w.b = append(w.b, assetVersion)
	w.asset(&a)
	return w.b
}

func decodeAsset(b []byte) (media.Asset, error) {
	if len(b) == 0 || b[0] != assetVersion {
		return media.Asset{}, errFormat
	}
	var a media.Asset
	r := reader{b: b[1:]}
	r.asset(&a)
	if r.bad || len(r.b) > 0 {
		return media.Asset{}, errFormat
	}
	return a, nil
}

type writer struct{ b []byte }

func (w *writer) asset(a *media.Asset) {
	p, u := &a.Placement, &a.Upload
	w.b = append(w.b, a.ID[:]...)
	w.text(string(a.State), a.Owner)
	w.number(a.Version)
	w.text(a.Filename, a.Title, a.MIMEType, string(a.Type))
	w.number(a.Size)
	w.bytes(a.SHA256)
	w.number(int64(a.Duration))
	w.text(a.FailReason, string(a.StorageType), a.Backend, a.Key, a.ExternalURL)
	w.b = append(w.b, a.ContentID[:]...)
	w.flags(a.Public, p.MainImage, u.Deferred, u.Partial, u.Final, a.Unchecked, a.Vouched)
	w.number(int64(a.Epoch), a.AccessCount, a.BytesServed)
	w.text(string(p.Kind), p.ProductID, p.CourseID, p.LessonID, p.ModuleID, string(p.VideoType), p.ResourceName, string(p.ResourceType), p.AltText)
	w.number(int64(p.Position))
	w.text(string(p.Reference.Type), p.Reference.ID)
	w.b = append(w.b, a.PlaceID[:]...)
	w.subjects(a.Also)
	w.text(u.Metadata)
	w.ids(u.Parts)
	w.text(u.GrantID)
	w.time(u.ExpiresAt, a.LastAccessedAt, a.CreatedAt, a.UpdatedAt, a.StoredAt)
}

func (w *writer) number(values ...int64) {
	for _, v := range values {
		w.b = binary.AppendVarint(w.b, v)
	}
}

func (w *writer) text(values ...string) {
	for _, v := range values {
		w.b = append(binary.AppendUvarint(w.b, uint64(len(v))), v...)
	}
}

// bytes tells none from empty ones.
func (w *writer) bytes(v []byte) {
	if v == nil {
		w.b = append(w.b, 0)
		return
	}
	w.b = append(binary.AppendUvarint(w.b, uint64(len(v))+1), v...)
}

func (w *writer) ids(v []media.AssetID) {
	if v == nil {
		w.b = append(w.b, 0)
		return
	}
	w.b = binary.AppendUvarint(w.b, uint64(len(v))+1)
	for _, id := range v {
		w.b = append(w.b, id[:]...)
	}
}

func (w *writer) subjects(v []media.Subject) {
	if v == nil {
		w.b = append(w.b, 0)
		return
	}
	w.b = binary.AppendUvarint(w.b, uint64(len(v))+1)
	for _, s := range v {
		w.text(string(s.Type), s.ID)
	}
}

func (w *writer) flags(values ...bool) {
	var set byte
	for i, v := range values {
		if v {
			set |= 1 << i
		}
	}
	w.b = append(w.b, set)
}

func (w *writer) time(values ...time.Time) {
	for _, v := range values {
		w.number(v.Unix(), int64(v.Nanosecond()))
	}
}

// reader takes apart what a writer wrote. It reads zeros once something is bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) asset(a *media.Asset) {
	p, u := &a.Placement, &a.Upload
	copy(a.ID[:], r.take(uint64(len(a.ID))))
	a.State, a.Owner = media.State(r.text()), r.text()
	a.Version = r.number()
	a.Filename, a.Title, a.MIMEType, a.Type = r.text(), r.text(), r.text(), media.Type(r.text())
	a.Size = r.number()
	a.SHA256 = r.bytes()
	a.Duration = time.Duration(r.number())
	a.FailReason, a.StorageType, a.Backend, a.Key, a.ExternalURL = r.text(), media.StorageType(r.text()), r.text(), r.text(), r.text()
	copy(a.ContentID[:], r.take(uint64(len(a.ContentID))))
	r.flags(&a.Public, &p.MainImage, &u.Deferred, &u.Partial, &u.Final, &a.Unchecked, &a.Vouched)
	a.Epoch, a.AccessCount, a.BytesServed = uint32(r.number()), r.number(), r.number() //nolint:gosec // written from one
	p.Kind, p.ProductID, p.CourseID, p.LessonID, p.ModuleID = media.PlacementKind(r.text()), r.text(), r.text(), r.text(), r.text()
	p.VideoType, p.ResourceName, p.ResourceType, p.AltText = media.VideoType(r.text()), r.text(), media.ResourceType(r.text()), r.text()
	p.Position = int(r.number())
	p.Reference.Type, p.Reference.ID = media.SubjectType(r.text()), r.text()
	copy(a.PlaceID[:], r.take(uint64(len(a.PlaceID))))
	a.Also = r.subjects()
	u.Metadata = r.text()
	u.Parts = r.ids()
	u.GrantID = r.text()
	u.ExpiresAt, a.LastAccessedAt, a.CreatedAt, a.UpdatedAt, a.StoredAt = r.time(), r.time(), r.time(), r.time(), r.time()
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) number() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) length() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string { return string(r.take(r.length())) }

func (r *reader) bytes() []byte {
	n := r.length()
	if n == 0 {
		return nil
	}
	return append(make([]byte, 0, min(n, 64)), r.take(n-1)...)
}

func (r *reader) ids() []media.AssetID {
	n := r.length()
	if n == 0 {
		return nil
	}
	n--
	if n > uint64(len(r.b))/uint64(len(media.AssetID{})) {
		r.b, r.bad = nil, true
		return nil
	}
	v := make([]media.AssetID, n)
	for i := range v {
		copy(v[i][:], r.take(uint64(len(v[i]))))
	}
	return v
}

func (r *reader) subjects() []media.Subject {
	n := r.length()
	if n == 0 {
		return nil
	}
	n--
	if n > uint64(len(r.b))/2 { // two lengths each
		r.b, r.bad = nil, true
		return nil
	}
	v := make([]media.Subject, n)
	for i := range v {
		v[i].Type, v[i].ID = media.SubjectType(r.text()), r.text()
	}
	return v
}

func (r *reader) flags(values ...*bool) {
	set := r.take(1)
	if set == nil {
		return
	}
	for i, v := range values {
		*v = set[0]&(1<<i) != 0
	}
}

func (r *reader) time() time.Time {
	seconds, nanoseconds := r.number(), r.number()
	return time.Unix(seconds, nanoseconds).UTC()
}
