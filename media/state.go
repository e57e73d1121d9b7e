package media

// State is where an asset stands. It only moves forward: see CanBecome and docs/states.md.
type State string

// The states.
const (
	Uploading  State = "uploading"  // a row, and some or all of the bytes; nothing can be played
	Stored     State = "stored"     // every byte is durable and the row says so; it plays; its SHA-256 may still be being computed
	Processing State = "processing" // a worker derives something from it
	Ready      State = "ready"      // all that was to be done is done
	Failed     State = "failed"     // processing gave up, FailReason says why; the original still downloads
)

// CanBecome reports whether a state may follow this one.
func (s State) CanBecome(next State) bool {
	switch s {
	case Uploading:
		return next == Stored
	case Stored:
		return next == Processing || next == Ready || next == Failed
	case Processing:
		return next == Ready || next == Failed
	case Ready, Failed:
		return false
	}
	return false
}

// Finished reports whether every byte is durable.
func (s State) Finished() bool { return s == Stored || s == Processing || s == Ready || s == Failed }
