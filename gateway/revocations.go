package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/media"
	"sluice/playback"
)

func (g *Gateway) routeRevocations(api huma.API) {
	add(g, api, huma.Operation{
		OperationID: "revoke", Method: http.MethodPost, Path: "/api/revocations", Tags: []string{"links"}, DefaultStatus: http.StatusCreated,
		Summary: "Revoke the links of a viewer, a course or a signing key",
		Description: "For admins. What is named must fit together: a viewer, a course, or a viewer in a course, each for one media when mediaId is given; " +
			"or a key alone, for every link it signed. " +
			"Their tickets answer 403 from the next request on, on other nodes within a second, and no new ones are signed. What is public still plays at /m/. " +
			"The same again is the same revocation, and the later end holds. Links of one media alone: DELETE /api/media/{id}/links. " +
			"The key that signs now is not revoked (409 key_signs): configure another as sign first.",
	}, g.revoke)
	add(g, api, huma.Operation{
		OperationID: "list-revocations", Method: http.MethodGet, Path: "/api/revocations", Tags: []string{"links"},
		Summary: "List the revocations in force", Description: "For admins. Oldest first.",
	}, g.listRevocations)
	add(g, api, huma.Operation{
		OperationID: "lift-revocation", Method: http.MethodDelete, Path: "/api/revocations/{id}", Tags: []string{"links"}, DefaultStatus: http.StatusNoContent,
		Summary: "Lift a revocation", Description: "For admins. Tickets that are not over are good again.",
	}, g.liftRevocation)
}

// RevocationRequest says whose links shall be worth nothing.
type RevocationRequest struct {
	Viewer    string `json:"viewer,omitempty" maxLength:"255" doc:"As links name viewers" example:"u1"`
	CourseID  string `json:"courseId,omitempty" maxLength:"24" doc:"Whatever belongs to this course" example:"507f1f77bcf86cd799439011"`
	MediaID   string `json:"mediaId,omitempty" maxLength:"64" doc:"Only this media"`
	Key       *int64 `json:"key,omitempty" minimum:"0" maximum:"255" doc:"Every link that the signing key of this id signed; named alone" example:"1"`
	ExpiresIn int64  `json:"expiresIn,omitempty" minimum:"1" maximum:"31622400" doc:"Seconds; default: as long as a link signed now may live"`
}

// Revocation is one that is in force.
type Revocation struct {
	ID        string    `json:"id"`
	Viewer    string    `json:"viewer,omitempty" doc:"Absent: every viewer"`
	CourseID  string    `json:"courseId,omitempty" doc:"Absent: whatever course"`
	MediaID   string    `json:"mediaId,omitempty" doc:"Absent: every media"`
	Key       *int64    `json:"key,omitempty" doc:"Absent: whatever key signed"`
	ExpiresAt time.Time `json:"expiresAt"`
	CreatedBy string    `json:"createdBy"`
	CreatedAt time.Time `json:"createdAt"`
}

func revocationJSON(d media.Denial) Revocation {
	r := Revocation{ID: d.ID, Viewer: d.Viewer, CourseID: d.CourseID, ExpiresAt: utc(d.Until), CreatedBy: d.By, CreatedAt: utc(d.At)}
	if !d.Asset.IsZero() {
		r.MediaID = d.Asset.String()
	}
	if d.OfKey {
		key := int64(d.Key)
		r.Key = &key
	}
	return r
}

type revocationInput struct {
	Idempotent // the same again is the same revocation: the key is taken and changes nothing
	Body       RevocationRequest
}

type revocationOutput struct{ Body Revocation }

func (g *Gateway) revoke(ctx context.Context, in *revocationInput) (*revocationOutput, error) {
	q := playback.DenialRequest{Viewer: in.Body.Viewer, CourseID: in.Body.CourseID, ExpiresIn: time.Duration(in.Body.ExpiresIn) * time.Second}
	if in.Body.Key != nil {
		q.OfKey, q.Key = true, uint8(*in.Body.Key) //nolint:gosec // 0 to 255: the schema bounds it
	}
	if in.Body.MediaID != "" {
		id, err := media.ParseAssetID(in.Body.MediaID)
		if err != nil {
			return nil, err
		}
		q.Asset = id
	}
	d, err := g.n.Revocations.Deny(ctx, principalOf(ctx), q)
	if err != nil {
		return nil, err
	}
	return &revocationOutput{Body: revocationJSON(d)}, nil
}

type revocationsOutput struct {
	Body struct {
		Items []Revocation `json:"items" nullable:"false"`
	} `nameHint:"Revocations"`
}

func (g *Gateway) listRevocations(ctx context.Context, _ *nothing) (*revocationsOutput, error) {
	list, err := g.n.Revocations.Denials(ctx, principalOf(ctx))
	if err != nil {
		return nil, err
	}
	out := &revocationsOutput{}
	out.Body.Items = make([]Revocation, len(list))
	for i, d := range list {
		out.Body.Items[i] = revocationJSON(d)
	}
	return out, nil
}

type revocationIDInput struct {
	ID string `path:"id" maxLength:"64" doc:"Of the revocation"`
}

func (g *Gateway) liftRevocation(ctx context.Context, in *revocationIDInput) (*nothing, error) {
	return nil, g.n.Revocations.Lift(ctx, principalOf(ctx), in.ID)
}
