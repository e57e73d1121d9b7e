package uploads

import (
	"context"
	"time"
)

// The work that one node does for all.
const (
	sweeping = "sweep"
	hashing  = "hash"
)

// turnRetry is how often a node asks whether the turn at some work is free: a node that dies is replaced after its lease and this.
const turnRetry = time.Second

// inTurn does some work until ctx ends, while it is this node's turn. Whatever comes from due says that there is work: when another node
// has the turn, that one is told.
func (s *Service) inTurn(ctx context.Context, work string, due chan struct{}, do func(context.Context)) {
	if s.o.Turns == nil {
		do(ctx)
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-due:
			s.o.Turns.Wake(ctx, work)
			continue
		case <-timer.C:
		}
		s.turn(ctx, work, due, do)
		timer.Reset(turnRetry)
	}
}

// turn does the work as long as this node has the turn, unless another has it.
func (s *Service) turn(ctx context.Context, work string, due chan struct{}, do func(context.Context)) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done, ok := s.o.Turns.Turn(ctx, work, func() { token(due) }, stop)
	if !ok {
		return
	}
	defer done()
	do(ctx)
}

// token puts one where none waits yet.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
