package livetest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed tusjs/package.json tusjs/package-lock.json tusjs/upload.mjs
var tusjsFiles embed.FS

// TusJSClient is tus-js-client as npm gives it, under Node.
type TusJSClient struct{ dir string }

// TusJS installs tus-js-client by npm into a cache folder, once per lock file.
func TusJS(t testing.TB) *TusJSClient {
	t.Helper()
	dir, err := installTusJS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &TusJSClient{dir}
}

func installTusJS(ctx context.Context) (string, error) {
	names := []string{"package.json", "package-lock.json", "upload.mjs"}
	sum := sha256.New()
	for _, name := range names {
		text, err := tusjsFiles.ReadFile("tusjs/" + name)
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	dir, err := cacheFolder("tusjs-" + hex.EncodeToString(sum.Sum(nil)[:6]))
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	for _, name := range names {
		text, err := tusjsFiles.ReadFile("tusjs/" + name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, os.WriteFile(done, nil, 0o644)
}

// JSUpload is one upload by tus-js-client.
type JSUpload struct {
	Endpoint        string            `json:"endpoint"`
	File            string            `json:"file"`
	Headers         map[string]string `json:"headers,omitempty"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	ChunkSize       int64             `json:"chunkSize,omitempty"` // bytes per PATCH; 0: all in one
	ParallelUploads int               `json:"parallelUploads,omitempty"`
	RetryDelay      int               `json:"retryDelay,omitempty"` // milliseconds; 0: 50

	// PauseAfter bytes the upload is aborted, and goes on after Pause milliseconds; 0: never.
	PauseAfter int64 `json:"pauseAfter,omitempty"`
	Pause      int64 `json:"pause,omitempty"`
}

// Upload runs the client until it reports success, and returns the upload's URL and the media id of the last answer that named one.
func (c *TusJSClient) Upload(ctx context.Context, u JSUpload) (url, id string, err error) {
	options, err := json.Marshal(u)
	if err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, "node", "upload.mjs", string(options))
	cmd.Dir = c.dir
	var complaints output
	cmd.Stderr = &complaints
	events, err := cmd.StdoutPipe()
	if err != nil {
		return "", "", err
	}
	if err := cmd.Start(); err != nil {
		return "", "", fmt.Errorf("node: %w", err)
	}
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		var e struct {
			Event, URL, ID, Text string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return "", "", errors.Join(fmt.Errorf("tus-js-client printed %q: %w", lines.Text(), err), cmd.Wait())
		}
		switch e.Event {
		case "success":
			url, id = e.URL, e.ID
		case "error":
			err = fmt.Errorf("tus-js-client: %s", e.Text)
		}
	}
	if werr := cmd.Wait(); werr != nil || err != nil || url == "" {
		return "", "", fmt.Errorf("upload by tus-js-client: %w\n%s", errors.Join(err, werr), complaints.String())
	}
	return url, id, nil
}
