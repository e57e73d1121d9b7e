package main

// These need the S3 driver: a real server answers, and its refusals must come out as a cause and a fix.

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/configs"
	"sluice/internal/livetest"
)

// bucketVariables is all that a container needs.
func bucketVariables(s *livetest.S3Server, bucket string) []string {
	return []string{
		"SLUICE_S3_BUCKET=" + bucket, "SLUICE_S3_ENDPOINT=" + s.URL(), "SLUICE_S3_REGION=" + s.Region, "SLUICE_S3_PATH_STYLE=true",
		"SLUICE_S3_ACCESS_KEY=" + s.AccessKey, "SLUICE_S3_SECRET_KEY=" + s.SecretKey,
	}
}

// bucketFiles counts what a bucket keeps.
func bucketFiles(t *testing.T, s *livetest.S3Server, bucket string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(s.Folder(bucket), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir // the server's own
		}
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestABucketByVariablesAloneIsTheDefault(t *testing.T) {
	t.Parallel()
	s := livetest.S3(t)
	bucket := s.NewBucket(t, "media")
	dir := t.TempDir()
	env := bucketVariables(s, bucket)
	p := spawn(t, dir, env)
	if !strings.Contains(p.out.String(), "S3 bucket media reachable (backend s3)\n") {
		t.Errorf("the start says: %s", p.out)
	}
	path, sum := file(t, dir, "x.bin", 9<<20)
	id := p.must("upload", path)
	if n := bucketFiles(t, s, bucket); n != 1 {
		t.Errorf("the bucket keeps %d objects, want 1", n)
	}
	if got := fetch(t, p.must("link", id)); got != sum {
		t.Errorf("it plays with hash %s, want %s", got, sum)
	}
	var shown struct{ StorageType string }
	if err := json.Unmarshal([]byte(p.must("show", id)), &shown); err != nil || shown.StorageType != "s3" {
		t.Errorf("it is kept by %q, %v, want s3", shown.StorageType, err)
	}
	small, _ := file(t, dir, "y.bin", 1000)
	p.must("upload", small, "--storage", "local")
	if n := bucketFiles(t, s, bucket); n != 1 {
		t.Errorf("the bucket keeps %d objects after one went to the disk, want 1", n)
	}
	p.must("rm", id)
	livetest.Until(t, 5*time.Second, "the object is deleted", func() bool { return bucketFiles(t, s, bucket) == 0 })
	if strings.Contains(p.out.String()+p.log.String(), s.SecretKey) {
		t.Error("the secret key stands in the log")
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

func TestStartErrorsOfS3(t *testing.T) {
	t.Parallel()
	s := livetest.S3(t)
	s.NewBucket(t, "media")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env   []string
		cause string
	}{
		"a wrong access key":         {[]string{"SLUICE_S3_ACCESS_KEY=nobody"}, "(?i)key"},
		"a wrong secret key":         {[]string{"SLUICE_S3_SECRET_KEY=guessed"}, "(?i)secret"},
		"a missing bucket":           {[]string{"SLUICE_S3_BUCKET=elsewhere"}, "elsewhere"},
		"an endpoint without server": {[]string{"SLUICE_S3_ENDPOINT=http://" + closed}, "(?i)reach"},
		"a host that is none":        {[]string{"SLUICE_S3_ENDPOINT=http://no-such-host.invalid:9000"}, "(?i)reach|host"},
		"parts that are too small":   {[]string{"SLUICE_S3_PART_SIZE=1MiB"}, "5MiB to 5GiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := append(bucketVariables(s, "media"), c.env...)
			code, out, errs := once(t, dir, env, "serve", "--port", "0")
			onlyCauseAndFix(t, code, out, errs, regexp.MustCompile("the backend s3: .*"+c.cause))
			if strings.Contains(errs, s.SecretKey) {
				t.Errorf("the secret key is shown: %s", errs)
			}
			code, out, _ = once(t, dir, env, "doctor", "--json", "--set", "port=0")
			var list []finding
			if err := json.Unmarshal([]byte(out), &list); err != nil || code != exitFailure {
				t.Fatalf("doctor = %d, %v: %s", code, err, out)
			}
			wrong := 0
			for _, f := range list {
				if !f.OK {
					wrong++
					if f.Check != "storage s3" && f.Check != "configuration" || f.Cause == "" || f.Fix == "" {
						t.Errorf("doctor: %+v", f)
					}
				}
			}
			if wrong != 1 {
				t.Errorf("the doctor finds %d wrong, want the bucket alone: %s", wrong, out)
			}
		})
	}
}

func TestTheDoctorTriesABucket(t *testing.T) {
	t.Parallel()
	s := livetest.S3(t)
	bucket := s.NewBucket(t, "media")
	dir := t.TempDir()
	config := fmt.Sprintf("storage:\n  backends:\n    videos: {type: s3, bucket: %s, endpoint: '%s', region: %s, path_style: true, prefix: a/b}\n", bucket, s.URL(), s.Region)
	writeFile(t, dir, "c.yaml", config)
	env := []string{"SLUICE_STORAGE_VIDEOS_ACCESS_KEY=" + s.AccessKey, "SLUICE_STORAGE_VIDEOS_SECRET_KEY=" + s.SecretKey}
	code, out, errs := once(t, dir, env, "doctor", "--set", "port=0", "--config", "c.yaml")
	if code != 0 || !strings.Contains(out, "ok     storage videos bucket media: an object was put, read and deleted") {
		t.Errorf("doctor = %d: %s%s", code, out, errs)
	}
	if n := bucketFiles(t, s, bucket); n != 0 {
		t.Errorf("it left %d objects", n)
	}
	code, out, _ = once(t, dir, env, "config", "--json", "--config", "c.yaml")
	var shown []configs.Setting
	if err := json.Unmarshal([]byte(out), &shown); code != 0 || err != nil || strings.Contains(out, s.SecretKey) || strings.Contains(out, s.AccessKey) {
		t.Errorf("config = %d, %v, or it shows keys: %s", code, err, out)
	}
}

// A bucket that goes away takes its own media with it, and nothing else.
func TestABucketThatIsAwayLeavesTheRest(t *testing.T) {
	t.Parallel()
	s := livetest.S3(t)
	bucket := s.NewBucket(t, "media")
	dir := t.TempDir()
	p := spawn(t, dir, append(bucketVariables(s, bucket), "SLUICE_STORAGE=local"))
	here, sum := file(t, dir, "here.bin", 1000)
	there, _ := file(t, dir, "there.bin", 1000)
	hereID, thereID := p.must("upload", here), p.must("upload", there, "--storage", "s3")
	linkHere, linkThere := p.must("link", hereID), p.must("link", thereID)
	s.Kill()
	livetest.Until(t, 10*time.Second, "/readyz is degraded", func() bool {
		code, out, _ := p.sluice("health")
		return code == 0 && strings.Contains(out, `"degraded"`) && strings.Contains(out, `"storage s3"`)
	})
	if got := fetch(t, linkHere); got != sum {
		t.Errorf("what is on the disk plays with hash %s, want %s", got, sum)
	}
	if code, header := status(t, "GET", linkThere, nil); code != 503 || header.Get("Retry-After") == "" {
		t.Errorf("what is in the bucket: %d, want 503 and Retry-After", code)
	}
	if code, _ := status(t, "GET", linkHere, nil); code != 200 {
		t.Errorf("what is on the disk: %d, want 200", code)
	}
	s.Start(t)
	livetest.Until(t, 10*time.Second, "it plays again", func() bool { code, _ := status(t, "GET", linkThere, nil); return code == 200 })
}
