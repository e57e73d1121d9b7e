package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"sluice/configs"
)

// stdinChunk is how much of standard input is kept for sending again, when --chunk-size says nothing.
const stdinChunk = 8 << 20

// window is the part of a stream that can still be sent again.
type window struct {
	at   int64
	data []byte
}

func (w *window) ReadAt(p []byte, at int64) (int, error) {
	if at < w.at || at > w.at+int64(len(w.data)) {
		return 0, fmt.Errorf("byte %d is no longer at hand", at)
	}
	n := copy(p, w.data[at-w.at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// stream uploads standard input, whose length shows at its end only. Nothing of it can be read twice: what a chunk holds is sent again
// after a cut, and another run begins anew.
func (c *uploadCommand) stream(ctx context.Context, s surroundings, cl *client, chunk int64) (uploaded, error) {
	name := first(c.Name, "stdin")
	metadata, err := c.metadata(name)
	if err != nil {
		return uploaded{}, err
	}
	if chunk == 0 {
		chunk = stdinChunk
	}
	in := bufio.NewReader(&interruptible{ctx, s.stdin})
	if _, err := in.Peek(1); err != nil {
		return uploaded{}, refuse(err, "send something into it, or name a file", "standard input brings nothing: %v", err)
	}
	show := newShow(s, name, -1, c.JSON)
	defer show.end()
	held := &window{data: make([]byte, 0, chunk)}
	u := &sender{c: cl, file: held, retries: c.Retries, progress: show.at, waiting: show.wait, anew: show.anew, deferred: true, sum: newRunningSum()}
	if err = u.create(ctx, metadata); err == nil {
		err = u.sendStream(ctx, in, held)
	}
	if errors.Is(err, errLost) {
		return uploaded{}, refuse(err, "run the whole pipeline again", "the gateway no longer has the upload of standard input")
	}
	if err != nil {
		if ctx.Err() != nil {
			return uploaded{}, refuse(errInterrupted, "run the whole pipeline again: standard input cannot be read twice", "interrupted: standard input is not complete")
		}
		if r, ok := errors.AsType[*configs.Refusal](err); ok {
			return uploaded{}, r
		}
		return uploaded{}, cl.explain(err)
	}
	show.end()
	out := uploaded{File: "-", ID: u.id, Size: u.size}
	if !c.Verify || out.ID == "" {
		return out, nil
	}
	return c.verify(ctx, s, cl, held, u.sum, out)
}

// sendStream sends chunk after chunk, and the length with the last one.
func (s *sender) sendStream(ctx context.Context, in *bufio.Reader, held *window) error {
	for !s.whole {
		held.at += int64(len(held.data))
		n, err := io.ReadFull(in, held.data[:cap(held.data)])
		held.data = held.data[:n]
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return refuse(err, "run the whole pipeline again", "standard input cannot be read: %v", err)
		}
		_, err = in.Peek(1)
		s.whole = errors.Is(err, io.EOF)
		s.size = held.at + int64(n)
		if err := s.send(ctx, held.at); err != nil {
			return err
		}
	}
	return nil
}
