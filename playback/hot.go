package playback

import (
	"bytes"

	"sluice/media"
)

// Small files that are asked for again are kept in memory, beside the headers of their assets: to open, read and close the file is a
// fourth of what such an answer costs. Nothing can be seen by it that must not be: each request looks its asset up first, so what was
// deleted or revoked is refused whatever is kept here, and bytes that were replaced belong to another face. Forget gives the memory back
// at once.

// kept gives bytes of the asset that are in memory, or nil.
func (p *face) kept(s span) []byte {
	b := p.bytes.Load()
	if b == nil {
		return nil
	}
	if !p.used.Load() { // written seldom: all who serve the asset share it
		p.used.Store(true)
	}
	return (*b)[s.off : s.off+s.n]
}

// keep remembers a copy of all bytes of an asset, from the second time on: most are asked for once. When more is kept than may be, those
// go first that nobody has used since the last look at them.
func (f *faces) keep(p *face, b []byte) {
	if !p.asked.Swap(true) || int64(len(b)) > f.budget {
		return
	}
	c := bytes.Clone(b)
	f.mu.Lock()
	defer f.mu.Unlock()
	if pair := f.pair(p.id); pair[0].Load() != p && pair[1].Load() != p || p.bytes.Load() != nil {
		return
	}
	p.bytes.Store(&c)
	f.held += int64(len(c))
	for looks := 0; f.held > f.budget; looks++ {
		v := f.slots[f.hand].Load()
		f.hand = (f.hand + 1) % faceSlots
		if v != nil && v != p && (looks > faceSlots || !v.used.Swap(false)) {
			f.drop(v)
		}
	}
}

// drop gives the bytes of a face back. Under mu.
func (f *faces) drop(p *face) {
	if p == nil {
		return
	}
	if b := p.bytes.Swap(nil); b != nil {
		f.held -= int64(len(*b))
	}
}

// Forget drops what is remembered of an asset. Call it when the asset has changed or is gone; an answer under way goes on.
func (h *Handler) Forget(id media.AssetID) {
	f := &h.faces
	f.mu.Lock()
	defer f.mu.Unlock()
	pair := f.pair(id)
	for i := range pair {
		if p := pair[i].Load(); p != nil && p.id == id {
			pair[i].Store(nil)
			f.drop(p)
		}
	}
}
