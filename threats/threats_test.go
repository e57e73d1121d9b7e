package threats_test

import (
	"testing"

	"sluice/internal/livetest"
)

// signingKey keeps a first start from printing what a newcomer needs.
const signingKey = "a signing key of these tests with 32 bytes or more"

// TestThreats runs the table side by side against one gateway, and at the end looks at everything that it has printed meanwhile.
//
//nolint:tparallel // the last subtest reads what all the others have caused
func TestThreats(t *testing.T) {
	t.Parallel()
	a := newArena(t, livetest.Options{Env: []string{
		"SLUICE_CORS_ORIGINS=https://lms.example.com", "SLUICE_LOG_LEVEL=debug", "SLUICE_SIGNING_KEYS=1:sign:" + signingKey,
	}})
	a.keep("the signing key", signingKey)
	t.Run("attacks", func(t *testing.T) {
		for _, threat := range []struct {
			name string
			try  func(*testing.T, *arena)
		}{
			{"threat: traversal by every id in a path", traversalByPath},
			{"threat: traversal by Upload-Concat, file name and storage", traversalByUpload},
			{"threat: planted symlinks", symlinks},
			{"threat: another owner's upload by every verb", foreignUploads},
			{"threat: another owner's media by every route", foreignMedia},
			{"threat: another owner's media in lists", foreignLists},
			{"threat: an upload grant opens nothing else", grantsAreNarrow},
			{"threat: an upload grant used many times at once", grantsAreUsedOnce},
			{"threat: stored XSS and sniffing", storedXSS},
			{"threat: header injection and wrong names by file name", fileNames},
			{"threat: forged and weak JWTs", forgedTokens},
			{"threat: credentials given twice or oddly", oddCredentials},
			{"threat: tickets tampered with", forgedTickets},
			{"threat: tickets in other spellings", respelledTickets},
			{"threat: tickets that have expired", expiredTickets},
			{"threat: play grants", playGrants},
			{"threat: open redirect", openRedirect},
			{"threat: CORS", crossOrigin},
			{"threat: forged Host and X-Forwarded headers", forgedHost},
			{"threat: range amplification", rangeAmplification},
			{"threat: request smuggling", smuggling},
			{"threat: slow and stalled clients", slowClients},
			{"threat: SQL by sort, filter, limit and cursor", sqlInjection},
			{"threat: Mongo operators", mongoOperators},
			{"threat: metrics and profiles on the public listener", operatorsOnly},
			{"threat: id guessing", idGuessing},
			{"threat: cache confusion by a flip of isPublic", flips},
			{"threat: links of deleted media", deletions},
			{"threat: log injection", logInjection},
			{"threat: junk on every JSON route", junkJSON},
			{"threat: junk in headers and metadata", junkHeaders},
		} {
			t.Run(threat.name, func(t *testing.T) {
				t.Parallel()
				threat.try(t, a)
			})
		}
	})
	t.Run("threat: secrets and paths in the log, lines that are not one", func(t *testing.T) { cleanLog(t, a) })
}
