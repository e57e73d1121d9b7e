package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/media"
)

func (g *Gateway) routeUploads(api huma.API) {
	add(g, api, huma.Operation{
		OperationID: "list-uploads", Method: http.MethodGet, Path: "/api/uploads", Tags: []string{"uploads"}, Summary: "List my open uploads",
		Description: "With their URLs and offsets, so that another device can go on.",
	}, g.listUploads)
	add(g, api, huma.Operation{
		OperationID: "create-grant", Method: http.MethodPost, Path: "/api/uploads", Tags: []string{"uploads"}, DefaultStatus: http.StatusCreated,
		Summary: "Mint an upload grant", Description: "For one upload by somebody without a login, who sends it as a bearer token with the creation at uploadUrl.",
	}, g.createGrant)
	add(g, api, huma.Operation{
		OperationID: "who-am-i", Method: http.MethodGet, Path: "/api/me", Tags: []string{"service"}, Summary: "Who the credentials say I am",
	}, g.whoAmI)
}

type openInput struct {
	State string `query:"state" enum:"open" doc:"open is the only one, and the default"`
}

// OpenUpload is an upload on its way.
type OpenUpload struct {
	MediaID   string     `json:"mediaId" format:"uuid"`
	UploadURL string     `json:"uploadUrl" doc:"tus goes on here"`
	Filename  string     `json:"filename,omitempty"`
	Size      *int64     `json:"size,omitempty" doc:"Bytes; absent while not declared"`
	Offset    int64      `json:"offset" doc:"Bytes that are here"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

type openOutput struct {
	Body struct {
		Items []OpenUpload `json:"items" nullable:"false"`
	} `nameHint:"OpenUploads"`
}

func (g *Gateway) listUploads(ctx context.Context, _ *openInput) (*openOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	ups, err := g.n.Grants.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	out := &openOutput{}
	out.Body.Items = make([]OpenUpload, len(ups))
	for i, u := range ups {
		out.Body.Items[i] = OpenUpload{
			MediaID: u.MediaID.String(), UploadURL: g.absolute(u.UploadURL), Filename: u.Filename, Size: u.Size, Offset: u.Offset,
			CreatedAt: utc(u.CreatedAt), ExpiresAt: timeOrAbsent(u.ExpiresAt),
		}
	}
	return out, nil
}

// GrantRequest says how wide an upload grant shall be.
type GrantRequest struct {
	MaxSize   int64    `json:"maxSize,omitempty" minimum:"0" doc:"Bytes; 0: the gateway's own limit"`
	Types     []string `json:"types,omitempty" maxItems:"50" doc:"Allowed MIME types; video/* is all video" example:"[\"video/*\"]"`
	Storage   string   `json:"storage,omitempty" maxLength:"64" doc:"A configured backend"`
	ExpiresIn int64    `json:"expiresIn,omitempty" minimum:"1" maximum:"604800" doc:"Seconds; default 3600, at most a week"`
	PlacementJSON
}

// Grant is a minted upload grant.
type Grant struct {
	Grant     string    `json:"grant"`
	ExpiresAt time.Time `json:"expiresAt"`
	UploadURL string    `json:"uploadUrl"`
}

type grantInput struct {
	Idempotent
	Body *GrantRequest
}

type grantOutput struct {
	Replayed string `header:"Idempotent-Replayed"`
	Body     Grant
}

func (g *Gateway) createGrant(ctx context.Context, in *grantInput) (*grantOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	var b GrantRequest
	if in.Body != nil {
		b = *in.Body
	}
	grant := media.UploadGrant{Owner: p.Subject, MaxSize: b.MaxSize, MIMETypes: slices.Clone(b.Types), Backend: b.Storage}
	if b.PlacementJSON != (PlacementJSON{}) {
		place := b.placement()
		grant.Placement = &place
	}
	type minted struct {
		Token   string
		Expires time.Time
	}
	m, again, err := once(ctx, g, "create-grant", in.Key, b, func() (minted, error) {
		token, expires, err := g.n.Grants.Grant(ctx, p, grant, time.Duration(b.ExpiresIn)*time.Second)
		return minted{token, expires}, err
	})
	if err != nil {
		return nil, err
	}
	return &grantOutput{Replayed: replayed(again), Body: Grant{Grant: m.Token, ExpiresAt: utc(m.Expires), UploadURL: g.absolute("/files/")}}, nil
}

// Me is who asks.
type Me struct {
	Subject string       `json:"subject"`
	Roles   []media.Role `json:"roles" nullable:"false"`
}

type meOutput struct{ Body Me }

func (g *Gateway) whoAmI(ctx context.Context, _ *nothing) (*meOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	roles := p.Roles
	if roles == nil {
		roles = []media.Role{}
	}
	return &meOutput{Body: Me{Subject: p.Subject, Roles: roles}}, nil
}
