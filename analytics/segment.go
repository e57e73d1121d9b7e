package analytics

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice/media"
)

// A record is 64 bytes, little endian: a seal, its sequence number, asset, session, time in Unix nanoseconds, bytes, flags. The seal is
// written last, in one atomic store, and holds the CRC32C of the rest: a record without one was never acknowledged, and one whose CRC
// differs was torn by a power cut.
const (
	recordSize = 64

	sealed = uint64(1) << 63 // in the seal, above the CRC: the record is complete
	voided = uint64(1) << 62 // in the seal: the number was given up, and never will be a record
)

const (
	flagView   = 1 << iota // adds one to the views
	flagManual             // told by the LMS: not remembered for deduplication
)

// record is one access as the journal keeps it.
type record struct {
	seq     int64
	asset   media.AssetID
	session media.Session
	at      int64 // Unix nanoseconds
	bytes   int64
	flags   uint64
}

// segment is a run of records with consecutive numbers: a mapped file, or plain memory while the disk has no room.
type segment struct {
	first int64  // number of its first record
	slots int64  // how many it has room for
	path  string // empty: in memory only
	data  []byte // where writers write; set once, before the first of them comes

	// For the one reader only.
	mapped []byte // data, or another mapping of the file; nil once counted and let go
	newest int64  // latest view in it, Unix nanoseconds
}

func (s *segment) end() int64 { return s.first + s.slots }

func (s *segment) inMemory() bool { return s.path == "" }

// place is where a writer puts a record.
func (s *segment) place(seq int64) []byte { return cut(s.data, seq-s.first) }

// slot is where the reader finds it.
func (s *segment) slot(seq int64) []byte { return cut(s.mapped, seq-s.first) }

func cut(data []byte, i int64) []byte {
	return data[i*recordSize : (i+1)*recordSize : (i+1)*recordSize]
}

// sealOf gives the first word of a slot for atomic use. Mappings begin on a page and slots are 64 bytes, so it is aligned.
func sealOf(slot []byte) *uint64 { return (*uint64)(unsafe.Pointer(&slot[0])) }

// put writes a record whole: after the last store it survives the end of the process.
func put(slot []byte, r *record, table *crc32.Table) {
	_ = slot[recordSize-1]
	binary.LittleEndian.PutUint64(slot[8:], uint64(r.seq))
	copy(slot[16:32], r.asset[:])
	copy(slot[32:40], r.session[:])
	binary.LittleEndian.PutUint64(slot[40:], uint64(r.at))
	binary.LittleEndian.PutUint64(slot[48:], uint64(r.bytes))
	binary.LittleEndian.PutUint64(slot[56:], r.flags)
	atomic.StoreUint64(sealOf(slot), sealed|uint64(crc32.Checksum(slot[8:recordSize], table)))
}

// slotState is what a slot holds.
type slotState uint8

const (
	slotEmpty slotState = iota // nothing, or a record still being written
	slotVoid                   // given up, or torn
	slotFull
)

// take reads a slot.
func take(slot []byte, r *record, table *crc32.Table) slotState {
	seal := atomic.LoadUint64(sealOf(slot))
	switch {
	case seal == 0:
		return slotEmpty
	case seal&sealed == 0 || uint32(seal) != crc32.Checksum(slot[8:recordSize], table):
		return slotVoid
	}
	r.seq = int64(binary.LittleEndian.Uint64(slot[8:]))
	copy(r.asset[:], slot[16:32])
	copy(r.session[:], slot[32:40])
	r.at = int64(binary.LittleEndian.Uint64(slot[40:]))
	r.bytes = int64(binary.LittleEndian.Uint64(slot[48:]))
	r.flags = binary.LittleEndian.Uint64(slot[56:])
	return slotFull
}

// newMemorySegment makes a segment that lasts as long as the process.
func newMemorySegment(slots int64) *segment {
	data := make([]byte, slots*recordSize)
	return &segment{slots: slots, data: data, mapped: data}
}

// createSegment makes a segment file with all of its blocks reserved, so that a disk that fills up later cannot fail a store into the
// mapping (SIGBUS), and maps it with every page present.
func createSegment(path string, size int64) (_ *segment, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	defer func() {
		_ = f.Close() // the mapping keeps the file
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	if err := reserve(f, size); err != nil {
		return nil, fmt.Errorf("reserve segment: %w", err)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|populate)
	if err != nil {
		return nil, fmt.Errorf("map segment: %w", err)
	}
	return &segment{slots: size / recordSize, path: path, data: data, mapped: data}, nil
}

// sync makes a new file outlast a power cut.
func (s *segment) sync(dir string) error {
	if err := unix.Msync(s.data, unix.MS_SYNC); err != nil {
		return fmt.Errorf("sync segment: %w", err)
	}
	return syncDir(dir)
}

// openSegment maps a file that an earlier process left. It yields the records in it, and reports nil when there is none: such a file
// was prepared and never used.
func openSegment(path string, table *crc32.Table, yield func(*record)) (s *segment, last int64, err error) {
	s = &segment{path: path, first: -1}
	if err := s.remap(); err != nil || s.slots == 0 {
		return nil, 0, err
	}
	var r record
	for i := range s.slots {
		if take(cut(s.mapped, i), &r, table) != slotFull || s.first >= 0 && r.seq != s.first+i || r.seq < i {
			continue
		}
		s.first, last = r.seq-i, r.seq
		s.saw(&r)
		yield(&r)
	}
	if s.first < 0 {
		return nil, 0, s.unmap()
	}
	s.data = s.mapped
	return s, last, nil
}

// remap maps the file again, when it is not.
func (s *segment) remap() error {
	if s.mapped != nil || s.inMemory() {
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	s.slots = info.Size() / recordSize
	if s.slots == 0 {
		return nil
	}
	s.mapped, err = unix.Mmap(int(f.Fd()), 0, int(s.slots*recordSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map segment: %w", err)
	}
	return nil
}

// unmap lets the memory go; the file stays.
func (s *segment) unmap() error {
	data := s.mapped
	s.mapped = nil
	if data == nil || s.inMemory() {
		return nil
	}
	if err := unix.Munmap(data); err != nil {
		return fmt.Errorf("unmap segment: %w", err)
	}
	return nil
}

// saw keeps the time of the latest view, which decides how long the file is of use.
func (s *segment) saw(r *record) {
	if r.flags&(flagView|flagManual) == flagView {
		s.newest = max(s.newest, r.at)
	}
}
