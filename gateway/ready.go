package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Check asks one dependency whether it is there.
type Check struct {
	Name     string
	Probe    func(ctx context.Context) error
	Critical bool // down: nothing useful can be served
}

// Readiness is what /readyz says.
type Readiness struct {
	Status string        `json:"status" enum:"ready,degraded,unavailable,draining"`
	Checks []CheckResult `json:"checks" nullable:"false"`
}

// CheckResult is how one dependency is. Why it is down stands in the log only: a driver's text may name hosts and users.
type CheckResult struct {
	Name     string `json:"name"`
	Status   string `json:"status" enum:"up,down"`
	Critical bool   `json:"critical"`
	TookMS   int64  `json:"tookMs"`
}

const (
	checkTimeout = time.Second
	checkFresh   = 250 * time.Millisecond // answers are shared that long, so that asking often costs the dependencies nothing
)

type readiness struct {
	checks []Check
	logger *slog.Logger
	now    func() time.Time

	mu   sync.Mutex // held while the dependencies are asked: one asks for all
	at   time.Time
	last Readiness
	down map[string]bool
}

func newReadiness(o Options) *readiness {
	return &readiness{checks: o.Checks, logger: o.Logger, now: time.Now, down: map[string]bool{}}
}

func (c *readiness) ask(ctx context.Context) Readiness {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && c.now().Sub(c.at) < checkFresh {
		return c.last
	}
	// One client that hangs up must not make the dependencies look down to the next.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	results := make([]CheckResult, len(c.checks))
	errs := make([]error, len(c.checks))
	var wg sync.WaitGroup
	for i, ch := range c.checks {
		wg.Go(func() {
			start := time.Now()
			errs[i] = ch.Probe(ctx)
			results[i] = CheckResult{Name: ch.Name, Status: "up", Critical: ch.Critical, TookMS: time.Since(start).Milliseconds()}
		})
	}
	wg.Wait()
	status := "ready"
	for i, ch := range c.checks {
		if errs[i] != nil {
			results[i].Status = "down"
			if ch.Critical {
				status = "unavailable"
			} else if status == "ready" {
				status = "degraded"
			}
		}
		if was := c.down[ch.Name]; was != (errs[i] != nil) {
			c.down[ch.Name] = !was
			c.logger.LogAttrs(ctx, slog.LevelWarn, "dependency changed", slog.String("name", ch.Name), slog.String("status", results[i].Status), slog.Any("error", errs[i]))
		}
	}
	c.last, c.at = Readiness{Status: status, Checks: results}, c.now()
	return c.last
}
