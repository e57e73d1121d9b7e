package gateway

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"sluice/media"
)

const (
	replayLease = time.Minute            // an act ends before: what it waits for is bounded by seconds
	replayAsk   = 100 * time.Millisecond // between looks at a request that another node acts on
	replayWait  = 4 * time.Second        // for that other node: an answer takes no more than 5 s
)

// settled is an answer, and whether it is an earlier request's.
type settled[T any] struct {
	answer T
	again  bool
}

// shared acts, unless another node or an earlier process has: then it gives their answer. What was claimed and died without an answer may be
// claimed again when its lease is over.
func shared[T any](ctx context.Context, g *Gateway, scope string, request []byte, act func() (T, error)) (s settled[T], err error) {
	if g.n.Answers == nil {
		s.answer, err = act()
		return s, err
	}
	box, err := newAnswerBox(scope)
	if err != nil {
		return s, err
	}
	sum := sha256.Sum256(request)
	mine := media.Replay{ID: box.id, Request: hex.EncodeToString(sum[:]), Claim: rand.Text()}
	first, err := g.claim(ctx, mine)
	if err != nil {
		return s, err
	}
	if first.Claim != mine.Claim {
		text, err := box.open(first.Answer)
		if err == nil {
			err = json.Unmarshal(text, &s.answer)
		}
		s.again = true
		return s, err
	}
	after := context.WithoutCancel(ctx) // what was done is to be known, whoever hangs up
	defer func() {
		end, cancel := context.WithTimeout(after, g.o.AnswerTimeout)
		defer cancel()
		settle := g.n.Answers.KeepReplay
		vain := mine.Answer == nil // also when act panics
		if vain {
			settle = g.n.Answers.DropReplay
		}
		if err := settle(end, mine); err != nil {
			if vain {
				g.lost.Store(mine.Claim, struct{}{})
			}
			g.o.Logger.WarnContext(end, "what became of a request with an Idempotency-Key is not known to other nodes", slog.Any("error", err))
		}
	}()
	if s.answer, err = act(); err != nil {
		return s, err
	}
	text, err := json.Marshal(s.answer)
	if err == nil {
		mine.Answer = box.seal(text)
	}
	return s, err
}

// claim gives what is known of a request, once it is mine or has an answer. The same key with another request is media.Conflict; one that
// another node does not finish is media.Locked.
func (g *Gateway) claim(ctx context.Context, mine media.Replay) (media.Replay, error) {
	ctx, cancel := context.WithTimeout(ctx, replayWait)
	defer cancel()
	look := time.NewTicker(replayAsk)
	defer look.Stop()
	for {
		first, err := g.n.Answers.ClaimReplay(ctx, mine, g.o.ReplayLease)
		if _, lost := g.lost.Load(first.Claim); lost && err == nil {
			if err = g.n.Answers.DropReplay(ctx, first); err == nil {
				g.lost.Delete(first.Claim)
				continue
			}
		}
		switch {
		case err != nil:
			return first, err //nolint:wrapcheck // the catalogue's error is whole
		case first.Request != mine.Request:
			return first, errKeyReused()
		case first.Claim == mine.Claim || first.Answer != nil:
			return first, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return first, media.Wrap(media.Locked, ctx.Err(), "the first request with this Idempotency-Key is still running")
		}
	}
}

// answerBox seals answers, some of which are grants, with a key that only the request itself brings along: whoever reads the store has neither
// the Idempotency-Key nor anything to try it on but by guessing it.
type answerBox struct {
	id   string
	aead cipher.AEAD
}

func newAnswerBox(scope string) (answerBox, error) {
	id, key := sha256.Sum256([]byte("sluice replay id 1\x00"+scope)), sha256.Sum256([]byte("sluice replay key 1\x00"+scope))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return answerBox{}, fmt.Errorf("gateway: seal an answer: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return answerBox{}, fmt.Errorf("gateway: seal an answer: %w", err)
	}
	return answerBox{id: hex.EncodeToString(id[:]), aead: aead}, nil
}

func (b answerBox) seal(text []byte) []byte { return b.aead.Seal(nil, nil, text, []byte(b.id)) }

func (b answerBox) open(sealed []byte) ([]byte, error) {
	text, err := b.aead.Open(nil, nil, sealed, []byte(b.id))
	if err != nil {
		return nil, fmt.Errorf("gateway: open a kept answer: %w", err)
	}
	return text, nil
}
