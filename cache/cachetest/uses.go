package cachetest

import (
	"fmt"

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
