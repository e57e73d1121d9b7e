package media

// Replay is a request that may be repeated, and its answer.
type Replay struct {
	ID      string // names whoever asked, for what and with which key
	Request string // a hash of what was asked
	Claim   string // who acts on it
	Answer  []byte // nil while that is under way, never empty
}
