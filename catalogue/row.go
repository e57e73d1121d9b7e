package catalogue

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/media"
)

// row is an asset with what only the catalogue needs to know of it.
type row struct {
	media.Asset
	reserved int64 // bytes held of the owner's quota
	kept     bool  // doomed, and the trash has a place of it
}

const columns = `a.id, a.state, a.owner, a.version, a.filename, a.title, a.mime_type, a.media_type, a.size, a.sha256, a.duration_ms,
	a.fail_reason, a.storage_type, a.backend, a.object_key, a.external_url, a.is_public, a.epoch, a.access_count, a.bytes_served,
	a.last_accessed_at, a.kind, a.product_id, a.course_id, a.lesson_id, a.module_id, a.video_type, a.resource_name, a.resource_type,
	a.alt_text, a.is_main_image, a.position, a.reference_type, a.reference_id, a.metadata, a.deferred, a.partial, a.final, a.parts,
	a.expires_at, a.grant_id, a.created_at, a.updated_at, a.stored_at, a.reserved_bytes, COALESCE(a.content_id, a.id),
	COALESCE(a.place_id, a.id), a.also, a.unchecked, a.vouched, a.kept`

// scan reads a row selected by columns, and what was selected after them.
func (r *row) scan(rows Rows, more ...any) error {
	a, p, u := &r.Asset, &r.Placement, &r.Upload
	var duration, epoch, last, position, expires, created, updated, stored int64
	var metadata, parts []byte
	var also string
	err := rows.Scan(append([]any{
		&a.ID, (*string)(&a.State), &a.Owner, &a.Version, &a.Filename, &a.Title, &a.MIMEType, (*string)(&a.Type), &a.Size,
		&a.SHA256, &duration, &a.FailReason, (*string)(&a.StorageType), &a.Backend, &a.Key, &a.ExternalURL, &a.Public, &epoch,
		&a.AccessCount, &a.BytesServed, &last, (*string)(&p.Kind), &p.ProductID, &p.CourseID, &p.LessonID, &p.ModuleID,
		(*string)(&p.VideoType), &p.ResourceName, (*string)(&p.ResourceType), &p.AltText, &p.MainImage, &position,
		(*string)(&p.Reference.Type), &p.Reference.ID, &metadata, &u.Deferred, &u.Partial, &u.Final, &parts, &expires, &u.GrantID,
		&created, &updated, &stored, &r.reserved, &a.ContentID, &a.PlaceID, &also, &a.Unchecked, &a.Vouched, &r.kept,
	}, more...)...)
	if err != nil {
		return err
	}
	a.ContentID, a.PlaceID = unlessOwn(a.ContentID, a.ID), unlessOwn(a.PlaceID, a.ID)
	if a.Also, err = parseSubjects(also); err != nil {
		return err
	}
	a.Duration = time.Duration(duration) * time.Millisecond
	a.Epoch = uint32(epoch)
	p.Position = int(position)
	u.Metadata = string(metadata)
	for ; len(parts) >= len(media.AssetID{}); parts = parts[len(media.AssetID{}):] {
		u.Parts = append(u.Parts, media.AssetID(parts[:len(media.AssetID{})]))
	}
	a.LastAccessedAt, u.ExpiresAt = moment(last), moment(expires)
	a.CreatedAt, a.UpdatedAt, a.StoredAt = moment(created), moment(updated), moment(stored)
	return nil
}

const insertAsset = `INSERT INTO assets (id, state, owner, version, filename, title, mime_type, media_type, size, sha256, duration_ms,
	fail_reason, storage_type, backend, object_key, external_url, is_public, epoch, kind, product_id, course_id, lesson_id, module_id,
	video_type, resource_name, resource_type, alt_text, is_main_image, position, reference_type, reference_id, metadata, deferred, partial,
	final, parts, expires_at, grant_id, created_at, updated_at, stored_at, join_key, reserved_bytes, unchecked, vouched)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27,
	$28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45)`

// values gives the arguments of insertAsset.
func (r *row) values() []any {
	a, p, u := &r.Asset, &r.Placement, &r.Upload
	parts := make([]byte, 0, len(u.Parts)*len(media.AssetID{}))
	for _, id := range u.Parts {
		parts = append(parts, id[:]...)
	}
	return []any{
		a.ID, string(a.State), a.Owner, a.Version, a.Filename, a.Title, a.MIMEType, string(a.Type), a.Size, a.SHA256,
		a.Duration.Milliseconds(), a.FailReason, string(a.StorageType), a.Backend, a.Key, a.ExternalURL, a.Public, int64(a.Epoch),
		string(p.Kind), p.ProductID, p.CourseID, p.LessonID, p.ModuleID, string(p.VideoType), p.ResourceName, string(p.ResourceType),
		p.AltText, p.MainImage, int64(p.Position), string(p.Reference.Type), p.Reference.ID, []byte(u.Metadata), u.Deferred, u.Partial,
		u.Final, parts, micros(u.ExpiresAt), u.GrantID, micros(a.CreatedAt), micros(a.UpdatedAt), micros(a.StoredAt), joinKey(r.Asset), r.reserved,
		a.Unchecked, a.Vouched,
	}
}

// unlessOwn gives an id that differs from its asset's: the asset's own is told by the zero id.
func unlessOwn(id, own media.AssetID) media.AssetID {
	if id == own {
		return media.AssetID{}
	}
	return id
}

// orNull binds the zero id as NULL.
func orNull(id media.AssetID) any {
	if id.IsZero() {
		return nil
	}
	return id
}

// subjectsText writes entities as a flat JSON list of types and ids, "" for none.
func subjectsText(subjects []media.Subject) (string, error) {
	if len(subjects) == 0 {
		return "", nil
	}
	flat := make([]string, 0, 2*len(subjects))
	for _, s := range subjects {
		flat = append(flat, string(s.Type), s.ID)
	}
	text, err := json.Marshal(flat)
	return string(text), err
}

func parseSubjects(text string) ([]media.Subject, error) {
	if text == "" {
		return nil, nil
	}
	var flat []string
	if err := json.Unmarshal([]byte(text), &flat); err != nil {
		return nil, fmt.Errorf("catalogue: the entities of an asset: %w", err)
	}
	var subjects []media.Subject
	for i := 0; i+1 < len(flat); i += 2 {
		subjects = append(subjects, media.Subject{Type: media.SubjectType(flat[i]), ID: flat[i+1]})
	}
	return subjects, nil
}

// joinKey names a final upload by its owner and its parts in order, so that joining them twice gives one row; nil for all others.
func joinKey(a media.Asset) []byte {
	if !a.Upload.Final || len(a.Upload.Parts) == 0 {
		return nil
	}
	h := sha256.New()
	_, _ = h.Write([]byte(a.Owner)) // a hash never fails
	_, _ = h.Write([]byte{0})
	for _, id := range a.Upload.Parts {
		_, _ = h.Write(id[:])
	}
	return h.Sum(nil)
}

const selectAsset = `SELECT ` + columns + ` FROM assets a WHERE a.id = $1 AND a.doomed_at = 0`

// load reads one row; media.NotFound when missing or doomed.
func (c *Catalogue) load(ctx context.Context, q Querier, id media.AssetID) (row, error) {
	found, err := c.loadRows(ctx, q, 1, selectAsset, id)
	if err != nil {
		return row{}, err
	}
	if len(found) == 0 {
		return row{}, notFound()
	}
	return found[0], nil
}

// loadRows reads all rows of a query that selects columns.
func (c *Catalogue) loadRows(ctx context.Context, q Querier, hint int, text string, args ...any) ([]row, error) {
	rows, err := q.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	found := make([]row, 0, hint)
	for rows.Next() {
		found = append(found, row{})
		if err = found[len(found)-1].scan(rows); err != nil {
			break
		}
	}
	if err == nil {
		err = rows.Err()
	}
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	return found, err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// keep rounds a time to what is kept.
func keep(t time.Time) time.Time { return moment(micros(t)) }

// checkTexts refuses what PostgreSQL's text cannot hold, on every engine alike: NUL and broken UTF-8. It takes pairs of name and value.
func checkTexts(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if strings.IndexByte(pairs[i+1], 0) >= 0 || !utf8.ValidString(pairs[i+1]) {
			return &media.Error{Kind: media.Invalid, Code: "bad_text", Field: pairs[i], Detail: pairs[i] + " is not valid UTF-8 text"}
		}
	}
	return nil
}

func checkAsset(a media.Asset) error {
	return checkTexts("owner", a.Owner, "filename", a.Filename, "title", a.Title, "mimeType", a.MIMEType, "mediaType", string(a.Type),
		"failReason", a.FailReason, "storageType", string(a.StorageType), "backend", a.Backend, "key", a.Key, "url", a.ExternalURL,
		"grant", a.Upload.GrantID)
}

func checkPlacement(p media.Placement) error {
	return checkTexts("kind", string(p.Kind), "mongoProductId", p.ProductID, "mongoCourseId", p.CourseID, "mongoLessonId", p.LessonID,
		"mongoModuleId", p.ModuleID, "videoType", string(p.VideoType), "resourceName", p.ResourceName, "resourceType",
		string(p.ResourceType), "altText", p.AltText, "referenceType", string(p.Reference.Type), "referenceId", p.Reference.ID)
}
