package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// NewServer makes the http.Server for a handler. It has no total time limits, which would cut honest slow uploads and long plays: heads
// and idle connections are limited here, bodies and answers by whoever reads and writes them.
func (g *Gateway) NewServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 in the process costs sendfile; a proxy in front may speak it
	return &http.Server{
		Handler:           g.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		Protocols:         protocols,
		ConnContext:       connContext,
		ErrorLog:          slog.NewLogLogger(g.o.Logger.Handler(), slog.LevelWarn),

		// net/http's own answer to OPTIONS * waits for the body without a deadline.
		DisableGeneralOptionsHandler: true,
	}
}

// Serve serves on a listener until ctx ends, lets running requests finish for the grace time, and then closes what is left: an upload
// keeps the bytes that came, a play goes on with a range.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	srv := g.NewServer()
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(Watch(l)) }()
	select {
	case err := <-ended:
		return fmt.Errorf("gateway: serve: %w", err)
	case <-ctx.Done():
	}
	g.Drain()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.o.ShutdownGrace)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("gateway: shut down: %w", err)
	}
	return nil
}
