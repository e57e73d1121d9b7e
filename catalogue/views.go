package catalogue

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"sluice/media"
)

// viewsKept is how long an offered view is remembered after it was noted, by the clock here. Two nodes whose batches of one half hour come
// further apart than this do not know of each other's.
const viewsKept = 24 * time.Hour

// Each batch takes out the oldest that is over: as much goes as once came, and a batch is never late for longer than it takes.
const dropViews = `DELETE FROM views WHERE noted_at = (SELECT MIN(noted_at) FROM views WHERE noted_at < $1)`

// offer is a view that some node offers to be counted. Which of a session's count does not depend on the order in which they are offered:
// in the order of their times, each that is at least the window after the last one that counts.
type offer struct {
	asset   media.AssetID
	session int64
	at      int64 // microseconds
	counted bool
	noted   bool // it is a row already
}

func (o *offer) compare(p *offer) int {
	return cmp.Or(bytes.Compare(o.asset[:], p.asset[:]), cmp.Compare(o.session, p.session), cmp.Compare(o.at, p.at))
}

func (o *offer) sameViewer(p *offer) bool { return o.asset == p.asset && o.session == p.session }

// decideViews notes the offers of a batch, and gives what they change in the counts. An earlier view that comes late may take the place of
// one that was counted; then there is one more in an hour and one less in another.
func (c *Catalogue) decideViews(ctx context.Context, tx Tx, b media.Batch) ([]media.Tally, error) {
	all := make([]offer, len(b.Views))
	for i, v := range b.Views {
		all[i] = offer{asset: v.Asset, session: int64(binary.BigEndian.Uint64(v.Session[:])), at: v.At.UnixMicro()} //nolint:gosec // its bits are what is kept
	}
	slices.SortFunc(all, func(x, y offer) int { return x.compare(&y) }) // two nodes take rows in one order
	window := b.Window.Microseconds()
	all, err := c.noted(ctx, tx, all, window)
	if err != nil {
		return nil, err
	}
	changed, tallies := settleViews(all, window)
	if len(changed) == 0 {
		return tallies, nil
	}
	return tallies, tx.Later(ctx, c.texts.note, string(offerJSON(changed)), micros(c.stamp()))
}

// noted adds to offers the rows that bear on them: those of the same viewer and asset, from a window before an offer on.
func (c *Catalogue) noted(ctx context.Context, tx Tx, offers []offer, window int64) ([]offer, error) {
	rows, err := tx.Query(ctx, c.texts.noted, string(offerJSON(offers)), window)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		o := offer{noted: true}
		if err = rows.Scan(&o.asset, &o.session, &o.at, &o.counted); err != nil {
			break
		}
		offers = append(offers, o)
	}
	if err == nil {
		err = rows.Err()
	}
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	return offers, err
}

// settleViews decides which offers count. It gives the rows that are new or decided otherwise, and the difference to the counts.
func settleViews(all []offer, window int64) (changed []offer, tallies []media.Tally) {
	slices.SortFunc(all, func(x, y offer) int {
		if d := x.compare(&y); d != 0 || x.noted == y.noted {
			return d
		}
		if x.noted {
			return -1
		}
		return 1
	})
	var last int64 // when the viewer's last view counted
	counts, moving := false, false
	for i := range all {
		o := &all[i]
		switch {
		case i == 0 || !o.sameViewer(&all[i-1]):
			counts, moving = false, false
		case o.at == all[i-1].at:
			continue // offered before, or noted twice: for each offer that it bears on
		}
		now := o.counted
		if moving = moving || !o.noted; moving { // nothing before the first that is new is decided anew
			now = !counts || o.at-last >= window
		}
		if now {
			last, counts = o.at, true
		}
		if o.noted && now == o.counted {
			continue
		}
		at := time.UnixMicro(o.at).UTC()
		t := media.Tally{Asset: o.asset, Hour: at.Truncate(time.Hour)}
		switch {
		case now:
			t.Views = 1
		case o.counted:
			t.Views = -1
		}
		if !o.noted {
			t.Last = at
		}
		tallies = append(tallies, t)
		changed = append(changed, offer{asset: o.asset, session: o.session, at: o.at, counted: now})
	}
	return changed, tallies
}

// offerJSON writes offers as [{"a":"hex id","s":session,"t":microseconds,"c":counted},…].
func offerJSON(offers []offer) []byte {
	list := make([]byte, 0, 2+len(offers)*100)
	list = append(list, '[')
	for i, o := range offers {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, `{"a":"`...)
		list = hex.AppendEncode(list, o.asset[:])
		list = strconv.AppendInt(append(list, `","s":`...), o.session, 10)
		list = strconv.AppendInt(append(list, `,"t":`...), o.at, 10)
		list = strconv.AppendBool(append(list, `,"c":`...), o.counted)
		list = append(list, '}')
	}
	return append(list, ']')
}

// assetJSON writes the ids of the assets in a batch, each once and in order.
func assetJSON(b media.Batch) string {
	ids := make([]media.AssetID, 0, len(b.Tallies)+len(b.Views))
	for _, t := range b.Tallies {
		ids = append(ids, t.Asset)
	}
	for _, v := range b.Views {
		ids = append(ids, v.Asset)
	}
	return idJSON(ids)
}

// idJSON writes ids as ["hex id",…], each once.
func idJSON(ids []media.AssetID) string {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(x, y media.AssetID) int { return bytes.Compare(x[:], y[:]) })
	ids = slices.Compact(ids)
	list := make([]byte, 0, 2+len(ids)*36)
	list = append(list, '[')
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(hex.AppendEncode(append(list, '"'), id[:]), '"')
	}
	return string(append(list, ']'))
}
