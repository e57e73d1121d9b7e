package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

type healthCommand struct {
	remote
}

// Run asks /readyz.
func (c *healthCommand) Run(ctx context.Context, s surroundings) error {
	l, err := c.load(s, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	own := l.Config
	own.PublicURL = "" // a container asks itself, not the proxy in front
	address := first(c.Server, l.Variable("SLUICE_SERVER"), own.URL())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/readyz", nil)
	if err != nil {
		return refuse(err, "write it as http://localhost:5000", "the server %q is not a URL", address)
	}
	h := newHTTPClient()
	defer h.CloseIdleConnections()
	resp, err := h.Do(req)
	if err != nil {
		return refuse(err, "start it with sluice serve", "%s cannot be reached", address)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	say(s.stdout, "%s\n", body)
	if resp.StatusCode != http.StatusOK {
		return refuse(nil, "sluice doctor checks each dependency", "%s is not ready: %d", address, resp.StatusCode)
	}
	return nil
}
