package analytics

// Abandon ends a counter as a killed process would: nothing is flushed, only the kernel's lock goes.
func (c *Counter) Abandon() {
	close(c.stop)
	c.keeper.Wait()
	_ = unlockDir(c.lock)
}

// InMemory tells whether accesses are kept in memory now.
func (c *Counter) InMemory() bool { return c.journal.active.Load().inMemory() }

// ParseJournalName is for the fuzzer: it gives the canonical form.
func ParseJournalName(s string) (string, error) {
	n, err := parseJournalName(s)
	return n.String(), err
}
