package cachetest

import (
	"fmt"
	"strconv"

	"sluice/media"
)

// Assets is the use of a cache for assets.
func Assets() Use[media.AssetID, media.Asset] {
	return Use[media.AssetID, media.Asset]{
		Key: func(n byte) media.AssetID { return media.AssetID{15: n} },
		Value: func(id media.AssetID, version int64) media.Asset {
			return media.Asset{ID: id, State: media.Ready, Version: version}
		},
		Version: func(id media.AssetID, a media.Asset) (int64, error) {
			if a.ID != id {
				return 0, fmt.Errorf("the asset %v for %v", a.ID, id)
			}
			return a.Version, nil
		},
		Fleeting: func(a media.Asset) media.Asset {
			a.State = media.Uploading
			return a
		},
	}
}

// Records is the use of a cache for records: products and courses.
func Records() Use[media.Subject, media.Record] {
	return Use[media.Subject, media.Record]{
		Key: func(n byte) media.Subject {
			return media.Subject{Type: []media.SubjectType{media.Product, media.Course}[n%2], ID: fmt.Sprintf("%024x", n)}
		},
		Value: func(s media.Subject, version int64) media.Record {
			return media.Record{Subject: s, Version: strconv.FormatInt(version, 10), Fields: map[string]any{"name": "Chair", "stock": version, "price": 9.0}}
		},
		Version: func(s media.Subject, r media.Record) (int64, error) {
			if r.Subject != s || r.Fields["price"] != 9.0 {
				return 0, fmt.Errorf("the record %v for %v", r, s)
			}
			version, _ := r.Fields["stock"].(int64)
			return version, nil
		},
	}
}

// Places is the use of a cache for the places of an entity.
func Places() Use[media.PlaceQuery, []media.Place] {
	return Use[media.PlaceQuery, []media.Place]{
		Key: func(n byte) media.PlaceQuery {
			return media.PlaceQuery{Kind: media.ProductImage, ProductID: fmt.Sprintf("%024x", n)}
		},
		Value: func(q media.PlaceQuery, version int64) []media.Place {
			pl := media.Placement{Kind: q.Kind, ProductID: q.ProductID}
			return []media.Place{{ID: media.AssetID{1}, Asset: media.Asset{ID: media.AssetID{1}, Version: version, Placement: pl}, Placement: pl}, {ID: media.AssetID{2}}}
		},
		Version: func(q media.PlaceQuery, list []media.Place) (int64, error) {
			if len(list) != 2 || list[0].Placement.ProductID != q.ProductID {
				return 0, fmt.Errorf("the places %v for %v", list, q)
			}
			return list[0].Asset.Version, nil
		},
	}
}
