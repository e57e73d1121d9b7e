package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/media"
)

// state is all that is known of a write: an object of its own, one line of JSON with some bytes of the tail after it. It is replaced only
// by who names the version it replaces (If-Match), so that of two processes that go on from one version one finds itself overtaken.
type state struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`   // of the write: a later one under the same key has another
	Mark    string    `json:"mark"` // of this version of the state
	Begun   time.Time `json:"begun"`
	Size    int64     `json:"size"` // declared, or media.UnknownLength
	Part    int64     `json:"part"` // bytes of every part but the last

	Upload string      `json:"upload,omitempty"` // the multipart upload's id; "": none yet
	Parts  int         `json:"parts"`            // stored, each of Part bytes
	Short  int64       `json:"short,omitempty"`  // bytes of one more, the last
	Sum    uint32      `json:"sum"`              // CRC32C of all parts
	Runs   []numbering `json:"runs,omitempty"`   // which numbers they have; none: from 1 on

	Segments []segment `json:"segments,omitempty"` // the tail: what came after the last part and is too little to be one
	Inline   int       `json:"inline,omitempty"`   // bytes of the tail that follow the line

	Open   string `json:"open,omitempty"`   // the append that is at work
	Until  int    `json:"until,omitempty"`  // the largest part number it may use
	Sealed bool   `json:"sealed,omitempty"` // nothing comes any more: the length is the offset
	Join   bool   `json:"join,omitempty"`   // made of other objects, by copies that have numbers from 1 on

	// The tail's bytes that lie in the state are in one of two places: in inline as they were read, or in held, in the memory of the handle
	// that has sent them. In neither, with Inline above zero: they are in the bucket alone.
	inline []byte
	held   *runReader
}

// numbering says that the part of an index, and those after it, have numbers in a row from Number on.
type numbering struct {
	Index  int `json:"index"`
	Number int `json:"number"`
}

// segment is a piece of the tail in an object of its own.
type segment struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

const (
	stateVersion = 1
	inlineMax    = 1 << 20 // bytes of a tail that lie in the state itself: one request in place of two
	maxState     = inlineMax + 1<<20
	reserve      = 32 // part numbers that an append takes at a time
)

func newState(size, part int64, now time.Time) *state {
	return &state{Version: stateVersion, ID: rand.Text(), Begun: now.UTC().Truncate(time.Second), Size: size, Part: part}
}

func (st *state) partsEnd() int64 { return int64(st.Parts)*st.Part + st.Short }

func (st *state) segmentBytes() int64 {
	var n int64
	for _, s := range st.Segments {
		n += s.Size
	}
	return n
}

// offset is how many bytes are stored, as far as this state knows.
func (st *state) offset() int64 { return st.partsEnd() + st.segmentBytes() + int64(st.Inline) }

// complete reports whether all is there that will come.
func (st *state) complete() bool { return st.Sealed || st.Open == "" && st.offset() == st.Size }

// number gives the number of the part of an index.
func (st *state) number(index int) int {
	from := numbering{Index: 0, Number: 1}
	for _, r := range st.Runs {
		if r.Index <= index {
			from = r
		}
	}
	return from.Number + index - from.Index
}

// skipTo lets the parts from the next one on have numbers above last: whoever was overtaken may still be sending those up to it.
func (st *state) skipTo(last int) {
	if st.number(st.Parts) > last {
		return
	}
	st.Runs = slices.DeleteFunc(slices.Clone(st.Runs), func(r numbering) bool { return r.Index >= st.Parts })
	st.Runs = append(st.Runs, numbering{Index: st.Parts, Number: last + 1})
}

func (st *state) clone() *state {
	c := *st
	c.Runs, c.Segments = slices.Clone(st.Runs), slices.Clone(st.Segments)
	return &c
}

// dropTail forgets the tail: a part holds it now.
func (st *state) dropTail() { st.Segments, st.Inline, st.inline, st.held = nil, 0, nil, nil }

// hollow says that the bytes of the tail are not in memory any more.
func (st *state) hollow() { st.inline, st.held = nil, nil }

func (st *state) isHollow() bool { return st.Inline > 0 && st.inline == nil && st.held == nil }

// inlineReader reads what lies in the state of the tail.
func (st *state) inlineReader() io.ReadSeeker {
	if st.held != nil {
		return st.held.again()
	}
	return bytes.NewReader(st.inline)
}

// encode gives the state as it lies in the bucket, and its CRC32C.
func (st *state) encode() (*headed, uint32, error) {
	line, err := json.Marshal(st)
	if err != nil {
		return nil, 0, fmt.Errorf("encode the state: %w", err)
	}
	line = append(line, '\n')
	sum := crcUpdate(0, line)
	if st.held != nil {
		sum = crcJoin(sum, st.held.r.crc(st.held.base), int64(st.Inline))
	} else {
		sum = crcUpdate(sum, st.inline)
	}
	return &headed{head: line, tail: st.inlineReader(), size: int64(len(line) + st.Inline)}, sum, nil
}

func decodeState(data []byte) (*state, error) {
	line, rest, ok := bytes.Cut(data, []byte{'\n'})
	st := new(state)
	if err := json.Unmarshal(line, st); err != nil || !ok {
		return nil, fmt.Errorf("the state is not one: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	if st.Version != stateVersion {
		return nil, fmt.Errorf("the state has version %d, this program knows %d", st.Version, stateVersion)
	}
	if st.Inline != len(rest) || st.Part < 1 || st.Parts < 0 || st.Short < 0 {
		return nil, errors.New("the state contradicts itself")
	}
	st.inline = rest
	return st, nil
}

// loadState reads the state of a key unless it is still the version of etag: nil then. Missing: media.NotFound.
func (d *Driver) loadState(ctx context.Context, key, etag string) (*state, string, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		st, tag, torn, err := d.readState(ctx, key, etag)
		if !torn || wait > time.Second {
			return st, tag, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, "", err
		}
	}
}

// readState is one attempt. torn: bytes and checksum are not of one version. Servers that keep attributes beside the object give such an
// answer while it is replaced, and with the old bytes perhaps the new tag, by which a swap would take back what was acknowledged.
func (d *Driver) readState(ctx context.Context, key, etag string) (st *state, tag string, torn bool, err error) {
	in := &s3.GetObjectInput{Bucket: &d.o.Bucket, Key: aws.String(d.stateName(key))}
	if etag != "" {
		in.IfNoneMatch = &etag
	}
	if d.o.sums() {
		in.ChecksumMode = types.ChecksumModeEnabled // reading to the end compares
	}
	out, err := d.api.GetObject(ctx, in)
	if statusOf(err) == http.StatusNotModified {
		return nil, etag, false, nil
	}
	if err != nil {
		return nil, "", false, kinded("read the state", err)
	}
	data, err := io.ReadAll(io.LimitReader(out.Body, maxState))
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return nil, "", true, kinded("read the state", err)
	}
	if st, err = decodeState(data); err != nil {
		return nil, "", true, media.Wrap(media.Internal, err, "")
	}
	return st, aws.ToString(out.ETag), false, nil
}

// errRace is what swapState says to whoever goes on from a version that is not the last.
var errRace = errors.New("storage s3: the state has changed")

// swapState puts st in the place of the version of etag; "" stands for none. errRace when that is not what is there.
func (d *Driver) swapState(ctx context.Context, key string, st *state, etag string) (string, error) {
	st.Mark = rand.Text()
	if st.isHollow() {
		now, tag, err := d.loadState(ctx, key, "")
		if err != nil {
			return "", err
		}
		if tag != etag || now.Inline != st.Inline {
			return "", errRace
		}
		st.inline = now.inline
	}
	body, sum, err := st.encode()
	if err != nil {
		return "", err
	}
	in := &s3.PutObjectInput{Bucket: &d.o.Bucket, Key: aws.String(d.stateName(key)), Body: body, ContentLength: &body.size}
	if d.o.sums() {
		in.ChecksumCRC32C = aws.String(crcText(sum))
	}
	if etag == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &etag
	}
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	out, err := d.api.PutObject(ctx, in)
	switch {
	case err == nil:
		return aws.ToString(out.ETag), nil
	case !lostRace(err):
		return "", kinded("write the state", err)
	}
	// The client repeats requests whose answer was lost: the version that is there may be this one.
	if now, tag, lerr := d.loadState(ctx, key, ""); lerr == nil && now.Mark == st.Mark {
		return tag, nil
	} else if lerr != nil && !errors.Is(lerr, media.NotFound) {
		return "", lerr
	}
	return "", errRace
}

// dropState removes the version of etag, and answers errRace when that is not what is there.
func (d *Driver) dropState(ctx context.Context, key, etag string) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	_, err := d.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &d.o.Bucket, Key: aws.String(d.stateName(key)), IfMatch: &etag})
	switch {
	case err == nil || missing(err):
		return nil
	case lostRace(err):
		return errRace
	case codeOf(err) == "NotImplemented": // no conditional deletes: a version nobody goes on from is as good as gone
		_, err = d.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &d.o.Bucket, Key: aws.String(d.stateName(key))})
	}
	return kinded("remove the state", err)
}
