package redis

import (
	"encoding/binary"
	"errors"

	"sluice/media"
)

// placesVersion is the first byte of a written list of places, before assetVersion. It moves with each change of what is written here.
const placesVersion = 1

var errNoPlaces = errors.New("not a list of places of this version")

// encodePlaces writes a list: how long it is, and of each place its id, its asset, and its placement where it is not the one of the asset,
// as that of an asset that has nothing else.
func encodePlaces(list []media.Place) []byte {
	w := writer{b: make([]byte, 0, 64+512*len(list))}
	w.b = append(w.b, placesVersion, assetVersion)
	if list == nil { // none is told from an empty list
		return append(w.b, 0)
	}
	w.b = binary.AppendUvarint(w.b, uint64(len(list))+1)
	for i := range list {
		p := &list[i]
		own := p.Placement != p.Asset.Placement
		w.b = append(w.b, p.ID[:]...)
		w.flags(own)
		w.asset(&p.Asset)
		if own {
			w.asset(&media.Asset{Placement: p.Placement})
		}
		w.time(p.UpdatedAt)
	}
	return w.b
}

func decodePlaces(b []byte) ([]media.Place, error) {
	if len(b) < 2 || b[0] != placesVersion || b[1] != assetVersion {
		return nil, errNoPlaces
	}
	r := reader{b: b[2:]}
	n := r.length()
	if r.bad || n > uint64(len(r.b))/uint64(len(media.AssetID{}))+1 {
		return nil, errNoPlaces
	}
	var list []media.Place
	if n > 0 {
		list = make([]media.Place, n-1)
	}
	for i := range list {
		p := &list[i]
		var own bool
		copy(p.ID[:], r.take(uint64(len(p.ID))))
		r.flags(&own)
		r.asset(&p.Asset)
		p.Placement = p.Asset.Placement
		if own {
			var a media.Asset
			r.asset(&a)
			p.Placement = a.Placement
		}
		p.UpdatedAt = r.time()
	}
	if r.bad || len(r.b) > 0 {
		return nil, errNoPlaces
	}
	return list, nil
}
