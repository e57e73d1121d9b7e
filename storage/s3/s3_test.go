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

// options are those of a bucket of its own on a server.
func options(t testing.TB, server *livetest.S3Server, bucket string) s3.Options {
	t.Helper()
	return s3.Options{
		Bucket: server.NewBucket(t, bucket), Endpoint: server.URL(), Region: server.Region, PathStyle: true, AccessKey: server.AccessKey,
		SecretKey: server.SecretKey, CopyParts: true,
	}
}

func open(t testing.TB, o s3.Options) *s3.Driver {
	t.Helper()
	d, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

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
