package curation_test

import (
	"context"
	"sync"
	"time"

	"sluice/curation"
	"sluice/media"
)

// shelf keeps rows in memory by the contract of curation.Shelf, and notes what was done to it and to the bytes, in order.
type shelf struct {
	mu    sync.Mutex
	rows  map[media.AssetID]media.Asset
	did   []string
	query media.Query
	fail  map[string]error
}

func (s *shelf) note(what string) error {
	s.did = append(s.did, what)
	return s.fail[what]
}

func (s *shelf) Asset(_ context.Context, id media.AssetID) (media.Asset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.rows[id]
	if !ok {
		return a, media.Errorf(media.NotFound, "no such media")
	}
	return a, nil
}

func (s *shelf) Counts(ctx context.Context, id media.AssetID) (media.Counts, error) {
	a, err := s.Asset(ctx, id)
	return media.Counts{Version: a.Version, AccessCount: a.AccessCount, BytesServed: a.BytesServed, LastAccessedAt: a.LastAccessedAt}, err
}

func (s *shelf) List(_ context.Context, q media.Query) (media.Listing, error) {
	s.query = q
	return media.Listing{}, s.note("list")
}

func (s *shelf) Add(_ context.Context, a media.Asset) (media.Asset, error) {
	a.Version = 1
	s.rows[a.ID] = a
	return a, s.note("add")
}

func (s *shelf) Change(_ context.Context, id media.AssetID, version int64, c media.Change) (media.Asset, error) {
	a := s.rows[id]
	if a.Version != version {
		return a, media.PreconditionFailed
	}
	if c.Title != nil {
		a.Title = *c.Title
	}
	a.Version++
	s.rows[id] = a
	return a, s.note("change")
}

func (s *shelf) Revoke(_ context.Context, id media.AssetID) (media.Asset, error) {
	a := s.rows[id]
	a.Epoch++
	s.rows[id] = a
	return a, s.note("revoke")
}

func (s *shelf) Doom(_ context.Context, id media.AssetID, version int64) error {
	if a := s.rows[id]; version != 0 && a.Version != version {
		return media.PreconditionFailed
	}
	if err := s.note("doom"); err != nil {
		return err
	}
	delete(s.rows, id)
	return nil
}

func (s *shelf) Forget(context.Context, media.AssetID) error { return s.note("forget") }

func (s *shelf) Delete(_ context.Context, backend, key string) error {
	return s.note("bytes " + backend + "/" + key)
}

func setup() (*curation.Service, *shelf) {
	s := &shelf{rows: map[media.AssetID]media.Asset{}, fail: map[string]error{}}
	return curation.New(s, s, curation.Options{Now: func() time.Time { return now }}), s
}

func idOf(n byte) media.AssetID {
	return media.AssetID{0x01, 0x9c, 0, 0, 0, 0, 0x70, 0, 0x80, 15: n}
}

func (s *shelf) put(n byte, owner string, public bool, state media.State) media.AssetID {
	id := idOf(n)
	s.rows[id] = media.Asset{ID: id, Owner: owner, Public: public, State: state, Version: 3, Backend: "main", Key: "k", StorageType: media.Local}
	return id
}

func who(subject string, roles ...media.Role) media.Principal {
	return media.Principal{Subject: subject, Roles: roles}
}
