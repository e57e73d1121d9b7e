package gateway_test

import (
	"sluice/analytics"
	"sluice/curation"
	"sluice/gateway"
	"sluice/playback"
	"sluice/uploads"
)

// What the gateway asks for is what the use-cases give.
var (
	_ gateway.Curation = (*curation.Service)(nil)
	_ gateway.Links    = (*playback.Links)(nil)
	_ gateway.Playback = (*playback.Handler)(nil)
	_ gateway.Grants   = (*uploads.Service)(nil)
	_ gateway.Reports  = (*analytics.Reports)(nil)
	_ gateway.Counter  = (*analytics.Counter)(nil)

	_ = playback.Options{OpenPlayGrant: (*gateway.Authenticator)(nil).PlayGrant, Problem: (*gateway.Problems)(nil).Write}
	_ = uploads.Options{Authenticate: (*gateway.Authenticator)(nil).Principal, Problem: (*gateway.Problems)(nil).Write}
)
