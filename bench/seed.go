package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// bearer signs a JWT (HS256) for the gateway's measuring secret.
func bearer(subject, role string, ttl time.Duration) string {
	enc := base64.RawURLEncoding.EncodeToString
	now := time.Now()
	text := enc([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		enc(fmt.Appendf(nil, `{"sub":%q,"role":%q,"iat":%d,"exp":%d}`, subject, role, now.Unix(), now.Add(ttl).Unix()))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + enc(mac.Sum(nil))
}

// seeder uploads the files to a running gateway and writes the lists of their signed URLs.
type seeder struct {
	base  string
	token string
}

func seedCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("seed", flag.ContinueOnError)
	base := fs.String("url", "", "the gateway")
	work := fs.String("work", "", "folder of the run")
	name := fs.String("name", "", "name of the server: lists are written to NAME.big and NAME.small")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s := seeder{*base, bearer("bench", "admin", time.Hour)}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	big, err := s.publish(ctx, filepath.Join(*work, "files", "big.bin"))
	if err != nil {
		return err
	}
	var small strings.Builder
	for i := range smallCount {
		link, err := s.publish(ctx, filepath.Join(*work, "files", "small", smallName(i)))
		if err != nil {
			return err
		}
		small.WriteString(link + "\n")
	}
	return errors.Join(
		os.WriteFile(filepath.Join(*work, *name+".big"), []byte(big+"\n"), 0o644),
		os.WriteFile(filepath.Join(*work, *name+".small"), []byte(small.String()), 0o644),
	)
}

func (s seeder) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := s.do(ctx, http.MethodGet, "/readyz", nil, 0)
		if err == nil {
			if err := resp.Body.Close(); err != nil || resp.StatusCode == http.StatusOK {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gateway is not ready: %w", errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

// publish uploads one file in its creating POST and returns a signed URL for it.
func (s seeder) publish(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	meta := "filename " + base64.StdEncoding.EncodeToString([]byte(filepath.Base(path))) + ",filetype " +
		base64.StdEncoding.EncodeToString([]byte("video/mp4"))
	resp, err := s.do(ctx, http.MethodPost, "/files/", f, info.Size(), "Tus-Resumable", "1.0.0", "Upload-Length", fmt.Sprint(info.Size()),
		"Upload-Metadata", meta, "Content-Type", "application/offset+octet-stream")
	if err != nil {
		return "", err
	}
	id := resp.Header.Get("Sluice-Media-Id")
	if err := expect(resp, nil); err != nil || id == "" {
		return "", fmt.Errorf("upload %s: media id %q: %w", path, id, err)
	}
	body := []byte(`{"expiresIn": 43200, "use": "play"}`)
	resp, err = s.do(ctx, http.MethodPost, "/api/media/"+id+"/links", bytes.NewReader(body), int64(len(body)), "Content-Type", "application/json")
	if err != nil {
		return "", err
	}
	var link struct{ URL string }
	if err := expect(resp, &link); err != nil {
		return "", fmt.Errorf("link to %s: %w", path, err)
	}
	if strings.HasPrefix(link.URL, "/") {
		link.URL = s.base + link.URL
	}
	return link.URL, nil
}

// expect wants 201 and reads its JSON body into out, when that is not nil.
func expect(resp *http.Response, out any) error {
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

func (s seeder) do(ctx context.Context, method, path string, body io.Reader, n int64, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = n
	req.Header.Set("Authorization", "Bearer "+s.token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return http.DefaultClient.Do(req)
}
