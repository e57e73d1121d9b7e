package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/media"
	"sluice/playback"
)

func (g *Gateway) routeLinks(api huma.API) {
	add(g, api, huma.Operation{
		OperationID: "create-link", Method: http.MethodPost, Path: "/api/media/{id}/links", Tags: []string{"links"}, DefaultStatus: http.StatusCreated,
		Summary:     "Sign a playback URL",
		Description: "The same media, viewer and use within one time window give the identical URL, so that caches hit; expiresAt says when it really ends.",
	}, g.createLink)
	add(g, api, huma.Operation{
		OperationID: "create-links", Method: http.MethodPost, Path: "/api/links", Tags: []string{"links"}, DefaultStatus: http.StatusCreated,
		Summary: "Sign playback URLs in a batch", Description: "Up to 200. Each item of the answer, in the order asked, is a link or says why there is none.",
	}, g.createLinks)
	add(g, api, huma.Operation{
		OperationID: "revoke-links", Method: http.MethodDelete, Path: "/api/media/{id}/links", Tags: []string{"links"}, DefaultStatus: http.StatusNoContent,
		Summary: "Revoke every link of a media", Description: "All tickets signed so far answer 403 from now on.",
	}, g.revokeLinks)
}

// LinkOptions are what a link shall allow.
type LinkOptions struct {
	ExpiresIn int64  `json:"expiresIn,omitempty" minimum:"1" maximum:"31622400" doc:"Seconds; default 3600" example:"3600"`
	Use       string `json:"use,omitempty" enum:"play,download,thumb" doc:"Default: play"`
	Viewer    string `json:"viewer,omitempty" maxLength:"255" doc:"Who will watch; views are counted once per viewer and half hour"`
}

func (o LinkOptions) request() playback.LinkRequest {
	use, _ := useOf(o.Use) // "" and play are the same to playback
	return playback.LinkRequest{ExpiresIn: time.Duration(o.ExpiresIn) * time.Second, Use: use, Viewer: o.Viewer}
}

// Link is a signed playback URL.
type Link struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func (g *Gateway) linkJSON(l playback.Link) Link {
	return Link{URL: g.absolute(l.URL), ExpiresAt: utc(l.ExpiresAt)}
}

type linkInput struct {
	IDInput
	Idempotent // signing again gives the same URL: the key is taken and changes nothing
	Body       *LinkOptions
}

type linkOutput struct{ Body Link }

func (g *Gateway) createLink(ctx context.Context, in *linkInput) (*linkOutput, error) {
	id, err := media.ParseAssetID(in.ID)
	if err != nil {
		return nil, err
	}
	var o LinkOptions
	if in.Body != nil {
		o = *in.Body
	}
	l, err := g.n.Links.Link(ctx, principalOf(ctx), id, o.request())
	if err != nil {
		return nil, err
	}
	return &linkOutput{Body: g.linkJSON(l)}, nil
}

// LinkFor is one link of a batch.
type LinkFor struct {
	ID string `json:"id" maxLength:"64"`
	LinkOptions
}

// LinkResult is one answer of a batch.
type LinkResult struct {
	ID        string     `json:"id"`
	URL       string     `json:"url,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	Error     *Problem   `json:"error,omitempty" doc:"Why there is no link"`
}

type linksInput struct {
	Idempotent
	Body struct {
		Items []LinkFor `json:"items" minItems:"1" maxItems:"200" nullable:"false"`
	} `nameHint:"LinkBatch"`
}

type linksOutput struct {
	Body struct {
		Items []LinkResult `json:"items" nullable:"false"`
	} `nameHint:"LinkResults"`
}

func (g *Gateway) createLinks(ctx context.Context, in *linksInput) (*linksOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	out := &linksOutput{}
	out.Body.Items = make([]LinkResult, len(in.Body.Items))
	for i, item := range in.Body.Items {
		r := &out.Body.Items[i]
		r.ID = clip(item.ID, 64)
		l, err := g.linkFor(ctx, p, item)
		if err != nil {
			r.Error = problemOf(err)
			if r.Error.Status >= http.StatusInternalServerError {
				return nil, err // the rest would fare no better
			}
			continue
		}
		at := utc(l.ExpiresAt)
		r.URL, r.ExpiresAt = g.absolute(l.URL), &at
	}
	return out, nil
}

func (g *Gateway) linkFor(ctx context.Context, p media.Principal, item LinkFor) (playback.Link, error) {
	id, err := media.ParseAssetID(item.ID)
	if err != nil {
		return playback.Link{}, err //nolint:wrapcheck // a use-case's error is whole
	}
	return g.n.Links.Link(ctx, p, id, item.request())
}

func (g *Gateway) revokeLinks(ctx context.Context, in *IDInput) (*nothing, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	id, err := media.ParseAssetID(in.ID)
	if err != nil {
		return nil, err
	}
	_, err = g.n.Media.Revoke(ctx, p, id)
	return nil, err
}
