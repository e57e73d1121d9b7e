package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// memory remembers unfinished uploads between runs, one small file each in the user's cache directory.
type memory struct{ dir string }

// remembered is what another run needs to go on. The URL is a capability: the file is for its owner only.
type remembered struct {
	URL string `json:"url"`
	ID  string `json:"id"`
}

func newMemory(s surroundings) memory {
	dir := s.variable("XDG_CACHE_HOME")
	if dir == "" || !filepath.IsAbs(dir) {
		if home := s.variable("HOME"); home != "" {
			dir = filepath.Join(home, ".cache")
		} else {
			dir = filepath.Join(os.TempDir(), "sluice-"+strconv.Itoa(os.Getuid()))
		}
	}
	return memory{filepath.Join(dir, "sluice", "uploads")}
}

// fingerprint tells one upload from another: a file that has changed, or that is to go elsewhere, is another.
func fingerprint(server, path string, info fs.FileInfo, metadata string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %q", server, path, info.Size(), info.ModTime().UnixNano(), metadata))
	return hex.EncodeToString(h[:16])
}

func (m memory) path(fingerprint string) string { return filepath.Join(m.dir, fingerprint+".json") }

func (m memory) recall(fingerprint string) (remembered, bool) {
	data, err := os.ReadFile(m.path(fingerprint))
	if err != nil {
		return remembered{}, false
	}
	var r remembered
	if json.Unmarshal(data, &r) != nil || r.URL == "" {
		return remembered{}, false
	}
	return r, true
}

func (m memory) keep(fingerprint string, r remembered) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("remember an upload: %w", err)
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return fmt.Errorf("remember an upload: %w", err)
	}
	m.sweep(time.Now().Add(-forgetAfter))
	f, err := os.CreateTemp(m.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("remember an upload: %w", err)
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), m.path(fingerprint))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("remember an upload: %w", err)
	}
	return nil
}

// forgetAfter is longer than any gateway keeps an unfinished upload by default.
const forgetAfter = 30 * 24 * time.Hour

// sweep drops what nobody came back for.
func (m memory) sweep(before time.Time) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return // the next run tries again
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.ModTime().Before(before) {
			_ = os.Remove(filepath.Join(m.dir, e.Name()))
		}
	}
}

func (m memory) forget(fingerprint string) { _ = os.Remove(m.path(fingerprint)) }
