package s3_test

import (
	"testing"

	"go.uber.org/goleak"

	"sluice/internal/livetest"
	"sluice/storage"
	"sluice/storage/s3"
	"sluice/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//nolint:tparallel // the server ends with the last of them
func TestS3KeepsTheContract(t *testing.T) {
	t.Parallel()
	server := livetest.S3(t)
	for name, change := range map[string]func(o *s3.Options){
		"a bucket of its own":             func(*s3.Options) {},
		"a prefix, no checksums, no copy": func(o *s3.Options) { o.Prefix, o.Checksums, o.CopyParts = "lms/media", "none", false },
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(t testing.TB) storagetest.Place {
				o := options(t, server, bucketName(t))
				change(&o)
				return storagetest.Place{
					Driver: open(t, o), Again: func(t testing.TB) storage.Driver { return open(t, o) }, Remote: true,
				}
			})
		})
	}
}
