package signing

import (
	"crypto/hmac"

	"sluice/media"
)

// A capability is 33 bytes, 44 characters: 0-15 the asset's id, 16 the key id, 17-32 HMAC-SHA256 over label, id and key id, cut to 128 bits.
const (
	capabilityHead  = 17
	capabilitySize  = 33
	capabilityLabel = "sluice capability 1\x00"
)

// Capability makes the unguessable name of an upload. It does not expire, and the gateway keeps nothing of it.
func (r *Ring) Capability(id media.AssetID) string {
	var raw [capabilitySize]byte
	copy(raw[:], id[:])
	raw[16] = r.signer.id
	st := r.signer.state()
	st.capability(raw[:capabilityHead])
	copy(raw[capabilityHead:], st.sum[:])
	r.signer.states.Put(st)
	return r.enc.EncodeToString(raw[:])
}

func (st *state) capability(head []byte) {
	n := copy(st.msg[:], capabilityLabel)
	n += copy(st.msg[n:], head)
	st.fill(st.msg[:n])
}

// ParseCapability gives the id back. Any text that this ring did not make is media.NotFound, as a missing upload is.
func (r *Ring) ParseCapability(s string) (media.AssetID, error) {
	var raw [capabilitySize]byte
	if !r.decode(raw[:], s) {
		return media.AssetID{}, errCapability()
	}
	k := r.keys[raw[16]]
	if k == nil {
		return media.AssetID{}, errCapability()
	}
	st := k.state()
	st.capability(raw[:capabilityHead])
	good := hmac.Equal(raw[capabilityHead:], st.sum[:capabilitySize-capabilityHead])
	k.states.Put(st)
	if !good {
		return media.AssetID{}, errCapability()
	}
	return media.AssetID(raw[:16]), nil
}

func errCapability() error {
	return &media.Error{Kind: media.NotFound, Code: "upload_not_found", Detail: "no such upload"}
}
