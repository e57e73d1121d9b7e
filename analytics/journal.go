package analytics

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	segmentSuffix = ".journal"

	// memorySlots is the size of a segment kept in memory: small, so that little is at risk before the disk is tried again.
	memorySlots = 4096

	// maxMemoryRecords bounds what is kept in memory (64 MiB) when the disk is full and the catalogue away at the same time.
	maxMemoryRecords = 1 << 20

	// closedOffset is added to the next number by seal: whoever draws a number above it has come too late. One addition thereby
	// separates the records that will be written from those that will not, and the mapping can go once the former are.
	closedOffset = int64(1) << 62
)

// journal is a log of numbered records. A writer draws a number, which is a place, and fills it; no writer waits for another.
type journal struct {
	dir   string
	size  int64 // of a segment file, in bytes
	table *crc32.Table
	start int64         // the first number this process may draw: what is empty below is void
	wake  chan struct{} // tells the keeper that a prepared segment is wanted

	next   atomic.Int64
	active atomic.Pointer[segment]
	lost   atomic.Int64 // records that found no room at all
	full   atomic.Bool  // the disk had no room when it was last asked

	mu       sync.Mutex
	segments []*segment // oldest first, without overlap
	prepared *segment   // the next one, or nil
	serial   int64      // of the last file made
	skipped  int64      // numbers below it that no segment holds will never be records
	memory   int64      // records there is room for in memory segments
	closedAt int64
}

// openJournal maps what an earlier process left and yields its records, file by file. New records are numbered from start at least.
func openJournal(dir string, size, start int64, yield func(*record)) (*journal, error) {
	j := &journal{
		dir: dir, size: size, table: crc32.MakeTable(crc32.Castagnoli), start: start, wake: make(chan struct{}, 1), closedAt: -1,
	}
	paths, serial, err := segmentFiles(dir)
	if err != nil {
		return nil, err
	}
	j.serial = serial
	for _, path := range paths {
		s, n, err := openSegment(path, j.table, yield)
		if err != nil {
			j.unmapAll()
			return nil, err
		}
		if s == nil {
			if err := os.Remove(path); err != nil {
				j.unmapAll()
				return nil, fmt.Errorf("remove unused segment: %w", err)
			}
			continue
		}
		j.segments = append(j.segments, s)
		j.start = max(j.start, n+1)
	}
	slices.SortFunc(j.segments, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })
	j.next.Store(j.start)
	if n := len(j.segments); n > 0 && j.start < j.segments[n-1].end() {
		s := j.segments[n-1]
		for seq := j.start; seq < s.end(); seq++ { // a torn record must not pass for a void one while its place is filled
			if seal := sealOf(s.slot(seq)); *seal != 0 {
				atomic.StoreUint64(seal, 0)
			}
		}
		j.active.Store(s)
	}
	return j, nil
}

// begin gives the journal its first segment when no old one has room, and asks for the one after.
func (j *journal) begin() error {
	if j.active.Load() == nil {
		s, err := j.create(j.newPath())
		j.full.Store(err != nil)
		if err != nil {
			s = newMemorySegment(memorySlots)
			j.memory += s.slots
		}
		s.first = j.start
		j.segments = append(j.segments, s)
		j.active.Store(s)
		if err != nil {
			return err
		}
	}
	j.ask()
	return nil
}

func (j *journal) ask() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// newPath names the next file. Under mu.
func (j *journal) newPath() string {
	j.serial++
	return filepath.Join(j.dir, fmt.Sprintf("%016x%s", j.serial, segmentSuffix))
}

// create makes a segment file that outlasts a power cut.
func (j *journal) create(path string) (*segment, error) {
	s, err := createSegment(path, j.size)
	if err != nil {
		return nil, err
	}
	if err := s.sync(j.dir); err != nil {
		_ = s.unmap()
		_ = os.Remove(path)
		return nil, err
	}
	return s, nil
}

// prepare makes the next segment file when there is none yet, and ends a segment in memory early, so that writers return to the disk.
func (j *journal) prepare() error {
	j.mu.Lock()
	have := j.prepared != nil || j.closedAt >= 0
	var path string
	if !have {
		path = j.newPath()
	}
	j.mu.Unlock()
	if !have {
		s, err := j.create(path)
		j.full.Store(err != nil)
		if err != nil {
			return err
		}
		j.mu.Lock()
		j.prepared = s
		j.mu.Unlock()
	}
	if s := j.active.Load(); s.inMemory() {
		j.burn(s)
	}
	return nil
}

// burn gives up the numbers that are left in a segment.
func (j *journal) burn(s *segment) {
	for {
		seq := j.next.Load()
		if seq >= s.end() {
			return
		}
		if j.next.CompareAndSwap(seq, s.end()) {
			for ; seq < s.end(); seq++ {
				atomic.StoreUint64(sealOf(s.place(seq)), voided)
			}
			return
		}
	}
}

// append writes a record and gives its number to r. False: the journal is closed, or there is no room anywhere.
func (j *journal) append(r *record) bool {
	r.seq = j.next.Add(1) - 1
	s := j.active.Load()
	if i := r.seq - s.first; i < 0 || i >= s.slots {
		if s = j.roll(r.seq); s == nil {
			return false
		}
	}
	put(s.place(r.seq), r, j.table)
	return true
}

// roll finds the segment of a number outside the active one, which is most often the next.
func (j *journal) roll(seq int64) *segment {
	if seq >= closedOffset {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		last := j.segments[len(j.segments)-1]
		if seq < last.end() {
			break
		}
		s := j.spare()
		if s == nil {
			j.skipped = max(j.skipped, seq+1)
			j.lost.Add(1)
			return nil
		}
		s.first = max(last.end(), j.skipped)
		j.segments = append(j.segments, s)
		j.active.Store(s)
		j.ask()
	}
	for i := len(j.segments) - 1; i >= 0; i-- {
		if s := j.segments[i]; seq >= s.first && seq < s.end() {
			return s
		}
	}
	j.lost.Add(1) // drawn while there was no room
	return nil
}

// spare gives the prepared segment. When the keeper is behind, which takes more than 16,384 accesses within the few milliseconds it
// needs, the writer makes a file itself, unsynced: it waits about a millisecond, but what it records survives a kill. Memory is for a
// full disk only. Under mu.
func (j *journal) spare() *segment {
	if s := j.prepared; s != nil {
		j.prepared = nil
		return s
	}
	if !j.full.Load() {
		if s, err := createSegment(j.newPath(), j.size); err == nil {
			return s
		}
		j.full.Store(true) // the keeper says so: it is asked now, and fails alike
	}
	if j.memory >= maxMemoryRecords {
		return nil
	}
	s := newMemorySegment(memorySlots)
	j.memory += s.slots
	return s
}

// drawn is the number after the last one given to a writer.
func (j *journal) drawn() int64 {
	if seq := j.next.Load(); seq < closedOffset {
		return seq
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closedAt
}

// seal lets no further record in.
func (j *journal) seal() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closedAt < 0 {
		j.closedAt = j.next.Add(closedOffset) - closedOffset
	}
}

// read yields the records from a number on until yield has enough, and reports the number it stopped at: everything below was yielded
// or is void. It stops before a record that is still being written. One reader at a time.
func (j *journal) read(from, limit int64, yield func(*record) bool) (int64, error) {
	j.mu.Lock()
	segments, skipped := slices.Clone(j.segments), j.skipped
	j.mu.Unlock()
	pos := from
	var r record
	for _, s := range segments {
		if s.end() <= pos || s.first >= limit {
			continue
		}
		pos = max(pos, s.first) // numbers between segments were never records
		if err := s.remap(); err != nil {
			return pos, err
		}
		for ; pos < min(s.end(), limit); pos++ {
			switch take(s.slot(pos), &r, j.table) {
			case slotVoid:
			case slotEmpty:
				if pos >= j.start {
					return pos, nil
				}
			case slotFull:
				s.saw(&r)
				if r.seq == pos && !yield(&r) {
					return pos, nil
				}
			}
		}
	}
	return min(max(pos, skipped), limit), nil
}

// settle waits until every record whose number was drawn is written. Writers are between two instructions, so it takes a moment.
func (j *journal) settle(pos int64) {
	for ; ; runtime.Gosched() {
		end := j.drawn()
		var err error
		if pos, err = j.read(pos, end, func(*record) bool { return true }); pos >= end || err != nil {
			return
		}
	}
}

// release lets go what is counted: memory at once, files when the views in them are older than the window.
func (j *journal) release(counted int64, now time.Time, window time.Duration) error {
	j.mu.Lock()
	active := j.active.Load()
	var done []*segment
	j.segments = slices.DeleteFunc(j.segments, func(s *segment) bool {
		if s.end() > counted || s == active || s.end() == active.first {
			return false // the last but one too: with an empty last one, it alone tells which numbers are taken
		}
		done = append(done, s)
		if s.inMemory() {
			j.memory -= s.slots
			return true
		}
		age := now.Sub(time.Unix(0, s.newest))
		return age > window || age < -window
	})
	kept := slices.Clone(j.segments)
	j.mu.Unlock()
	for _, s := range done {
		if err := s.unmap(); err != nil {
			return err
		}
		if s.inMemory() || slices.Contains(kept, s) {
			continue
		}
		if err := os.Remove(s.path); err != nil {
			return fmt.Errorf("remove segment: %w", err)
		}
	}
	return nil
}

// waitingInMemory tells how many numbers from pos on are kept in memory only.
func (j *journal) waitingInMemory(pos int64) (n int64) {
	end := j.drawn()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if s.inMemory() {
			n += max(0, min(s.end(), end)-max(s.first, pos))
		}
	}
	return n
}

// unmapAll ends the journal. Nobody may read or write it any more.
func (j *journal) unmapAll() {
	for _, s := range j.segments {
		_ = s.unmap()
	}
	if j.prepared != nil {
		_ = j.prepared.unmap()
		_ = os.Remove(j.prepared.path)
		j.prepared = nil
	}
}
