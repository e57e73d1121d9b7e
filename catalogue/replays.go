package catalogue

import (
	"context"
	"time"

	"sluice/media"
)

// replaysKept is how long an answer is repeated.
const replaysKept = 24 * time.Hour

const (
	claimReplay = `INSERT INTO replays (id, request, claim, answer, made_at) VALUES ($1, $2, $3, NULL, $4)
		ON CONFLICT (id) DO UPDATE SET request = excluded.request, claim = excluded.claim, answer = NULL, made_at = excluded.made_at
		WHERE replays.made_at < $5 OR replays.answer IS NULL AND replays.made_at < $6`
	selectReplay = `SELECT id, request, claim, answer FROM replays WHERE id = $1`
	keepReplay   = `UPDATE replays SET answer = $3 WHERE id = $1 AND claim = $2`
	dropReplay   = `DELETE FROM replays WHERE id = $1 AND claim = $2 AND answer IS NULL`
	dropReplays  = `DELETE FROM replays WHERE made_at = (SELECT MIN(made_at) FROM replays WHERE made_at < $1)`
)

// ClaimReplay takes a request to act on, and gives what is there then: the caller's own claim, or that of who came first, with the answer
// once there is one. A claim without an answer is over after lease, an answer after a day. See gateway.Answers.
func (c *Catalogue) ClaimReplay(ctx context.Context, r media.Replay, lease time.Duration) (media.Replay, error) {
	if err := checkTexts("id", r.ID, "request", r.Request, "claim", r.Claim); err != nil {
		return media.Replay{}, err
	}
	var found media.Replay
	err := c.write(ctx, Ordinary, func(tx Tx) error {
		now := c.stamp()
		if err := tx.Later(ctx, claimReplay, r.ID, r.Request, r.Claim, micros(now), micros(now.Add(-replaysKept)), micros(now.Add(-lease))); err != nil {
			return err
		}
		found = media.Replay{}
		if _, err := queryOne(ctx, tx, selectReplay, []any{r.ID}, &found.ID, &found.Request, &found.Claim, &found.Answer); err != nil {
			return err
		}
		return tx.Later(ctx, dropReplays, micros(now.Add(-replaysKept)))
	})
	return found, err
}

// KeepReplay keeps the answer to a claimed request, for a day. See gateway.Answers.
func (c *Catalogue) KeepReplay(ctx context.Context, r media.Replay) error {
	return c.write(ctx, Ordinary, func(tx Tx) error { return tx.Later(ctx, keepReplay, r.ID, r.Claim, r.Answer) })
}

// DropReplay gives a claimed request free again, when it is not answered. See gateway.Answers.
func (c *Catalogue) DropReplay(ctx context.Context, r media.Replay) error {
	return c.write(ctx, Freeing, func(tx Tx) error { return tx.Later(ctx, dropReplay, r.ID, r.Claim) })
}
