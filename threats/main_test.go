package threats_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets all attacks run at once, on few processors too: the longest of them wait a minute for a deadline.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "64"); err != nil {
		panic(err) // the flag is the testing package's own
	}
	os.Exit(m.Run())
}
