package s3

import "time"

// PartFor, for tests.
func (d *Driver) PartFor(size int64) int64 { return d.partFor(size) }

// CRCJoin, for tests.
func CRCJoin(first, second uint32, n int64) uint32 { return crcJoin(first, second, n) }

// Expire makes what is older than d an orphan.
func (d *Driver) Expire(after time.Duration) { d.o.Expiry = after }

// Quick makes a driver repeat requests without much of a wait.
func (o *Options) Quick() { o.backoff = 10 * time.Millisecond }
