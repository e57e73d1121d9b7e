// Package signing makes and checks the three secrets-in-a-URL of Sluice: playback tickets, upload capabilities and upload grants. It is
// pure: a ring of keys and a clock go in, strings come out. It knows neither assets' rows nor HTTP, and it stores nothing.
package signing

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"
)

// MinSecret is the least length of a key's secret in bytes: that of the hash, as RFC 2104 section 3 advises.
const MinSecret = 32

// KeyUse is what a key of the ring may do. Rotation takes three steps: a new key joins as Sign while the old one goes to Verify, and to
// Off once all it signed has expired. Off at once revokes all it ever signed.
type KeyUse string

// The uses of a key.
const (
	Sign   KeyUse = "sign"   // signs and verifies; exactly one key does
	Verify KeyUse = "verify" // verifies only
	Off    KeyUse = "off"    // nothing; its secret may be left out
)

// Key is one secret of the ring with the number that tokens name it by.
type Key struct {
	ID     uint8
	Secret []byte // at least MinSecret bytes
	Use    KeyUse
}

// Options are choices; the zero value works.
type Options struct {
	Now func() time.Time // nil: time.Now
}

// Ring signs with one key and verifies with all that are not off. It is safe for concurrent use and takes no lock.
type Ring struct {
	now    func() time.Time
	enc    *base64.Encoding
	keys   [256]*key // by id; nil: unknown or off
	signer *key
}

// New makes a Ring. It refuses a ring without exactly one Sign key, short secrets, and an id or a secret given twice: a shared secret would
// outlive the switching off of one of its ids.
func New(keys []Key, o Options) (*Ring, error) {
	r := &Ring{now: o.Now, enc: base64.RawURLEncoding.Strict()}
	if r.now == nil {
		r.now = time.Now
	}
	var seen [256]bool
	for i, k := range keys {
		if seen[k.ID] {
			return nil, fmt.Errorf("signing: key id %d is given twice", k.ID)
		}
		seen[k.ID] = true
		switch k.Use {
		case Off:
			continue
		case Sign, Verify:
		default:
			return nil, fmt.Errorf("signing: key %d: use must be sign, verify or off", k.ID)
		}
		if len(k.Secret) < MinSecret {
			return nil, fmt.Errorf("signing: key %d: a secret needs at least %d bytes, it has %d", k.ID, MinSecret, len(k.Secret))
		}
		for _, other := range keys[:i] {
			if other.Use != Off && bytes.Equal(other.Secret, k.Secret) {
				return nil, fmt.Errorf("signing: keys %d and %d share a secret", other.ID, k.ID)
			}
		}
		r.keys[k.ID] = newKey(k.ID, k.Secret)
		if k.Use == Sign {
			if r.signer != nil {
				return nil, fmt.Errorf("signing: keys %d and %d both sign", r.signer.id, k.ID)
			}
			r.signer = r.keys[k.ID]
		}
	}
	if r.signer == nil {
		return nil, errors.New("signing: no key signs")
	}
	return r, nil
}

// Signer gives the id of the key that signs.
func (r *Ring) Signer() uint8 { return r.signer.id }

// key is a secret ready to be used. The states are pooled because crypto/hmac keeps the hashed key pads in them: a MAC of a short message
// then costs two compressions of SHA-256 in place of four, and no allocation.
type key struct {
	id     uint8
	states sync.Pool // of *state
}

// state is one HMAC and the buffers that would escape to the heap through its interface.
type state struct {
	mac hash.Hash
	msg [64]byte
	sum [sha256.Size]byte
}

func newKey(id uint8, secret []byte) *key {
	secret = bytes.Clone(secret)
	return &key{id: id, states: sync.Pool{New: func() any {
		return &state{mac: hmac.New(sha256.New, secret)}
	}}}
}

func (k *key) state() *state { return k.states.Get().(*state) } //nolint:errcheck,forcetypeassert // the pool holds nothing else

// fill computes the MAC of label and parts into st.sum.
func (st *state) fill(msg []byte) {
	st.mac.Reset()
	st.mac.Write(msg) // a hash never fails
	st.mac.Sum(st.sum[:0])
}

// decode reads exactly len(dst) bytes of unpadded base64url. The standard decoder skips CR and LF; the length check keeps them out, as
// every character skipped is one missing.
func (r *Ring) decode(dst []byte, s string) bool {
	var text [tokenText]byte
	if len(s) != r.enc.EncodedLen(len(dst)) || len(s) > len(text) {
		return false
	}
	n, err := r.enc.Decode(dst, text[:copy(text[:], s)])
	return err == nil && n == len(dst)
}
