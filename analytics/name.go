package analytics

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	nameFile  = "name"
	lockFile  = "lock"
	nameMagic = "sluice-journal-1"
)

// journalName is under which name the catalogue keeps this journal's position. Records below base were settled under an earlier name.
//
// Records from pending on were written by processes that have not asked the catalogue yet, so none of them is counted: a position above
// it is about other records that once had these numbers, and were lost with the power or by hand. -1: the catalogue was asked.
type journalName struct {
	name    string
	base    int64
	pending int64
}

func newJournalName(base int64) journalName {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails: it crashes the program instead
	return journalName{name: hex.EncodeToString(b[:]), base: base, pending: -1}
}

func (n journalName) String() string {
	return fmt.Sprintf("%s %s %d %d\n", nameMagic, n.name, n.base, n.pending)
}

// errBadName is a name file that says something else. Guessing another name would count the records on disk a second time.
var errBadName = errors.New("the journal's name file is damaged: restore it, or move the whole folder away to begin a new journal")

func parseJournalName(s string) (journalName, error) {
	fields := strings.Split(strings.TrimSuffix(s, "\n"), " ")
	if len(fields) != 4 || fields[0] != nameMagic || len(fields[1]) != 32 {
		return journalName{}, errBadName
	}
	if raw, err := hex.DecodeString(fields[1]); err != nil || hex.EncodeToString(raw) != fields[1] { // lower case only
		return journalName{}, errBadName
	}
	base, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || base < 0 {
		return journalName{}, errBadName
	}
	pending, err := strconv.ParseInt(fields[3], 10, 64)
	if err != nil || pending < -1 {
		return journalName{}, errBadName
	}
	n := journalName{name: fields[1], base: base, pending: pending}
	if n.String() != s {
		return journalName{}, errBadName
	}
	return n, nil
}

// readName gives the journal's name; fs.ErrNotExist when it has none yet.
func readName(dir string) (journalName, error) {
	b, err := os.ReadFile(filepath.Join(dir, nameFile))
	if err != nil {
		return journalName{}, fmt.Errorf("read journal name: %w", err)
	}
	return parseJournalName(string(b))
}

// writeName replaces the name so that a crash or a power cut leaves the old one or the new one.
func writeName(dir string, n journalName) error {
	path := filepath.Join(dir, nameFile)
	if err := writeSynced(path+".new", n.String()); err != nil {
		return fmt.Errorf("write journal name: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write journal name: %w", err)
	}
	return syncDir(dir)
}

func writeSynced(path, text string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync journal folder: %w", err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync journal folder: %w", err)
	}
	return nil
}

// ErrInUse is a journal folder that another process, or another Counter of this one, has open.
var ErrInUse = errors.New("the journal of accesses is in use by another process; give each its own data folder")

// lockDir makes this process the only one to write in dir until the file is closed. The kernel drops the lock with the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock journal: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock journal %s: %w", dir, ErrInUse)
		}
		return nil, fmt.Errorf("lock journal %s: %w", dir, err)
	}
	return f, nil
}

// unlockDir ends the lock by name: a child between fork and exec shares the descriptor, and closing ours would not end it.
func unlockDir(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// fill writes zeros over the whole of a new file, where blocks cannot be reserved otherwise.
func fill(f *os.File, size int64) error {
	zeros := make([]byte, 64<<10)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// segmentFiles lists the segment files, and the highest number among their names.
func segmentFiles(dir string) (paths []string, serial int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("list journal: %w", err)
	}
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok || !e.Type().IsRegular() {
			continue
		}
		n, err := strconv.ParseInt(stem, 16, 64)
		if err != nil || len(stem) != 16 {
			continue
		}
		paths, serial = append(paths, filepath.Join(dir, e.Name())), max(serial, n)
	}
	return paths, serial, nil
}
