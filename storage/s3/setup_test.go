package s3_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// bucketName is one for each test.
func bucketName(t testing.TB) string {
	sum := sha256.Sum256([]byte(t.Name()))
	return "b-" + hex.EncodeToString(sum[:8])
}
