// Package s3 keeps objects in a bucket of Amazon S3 or of a server that speaks its protocol. Uploads are multipart uploads of its own
// making: their state lies in the bucket beside them, is changed by compare and swap alone, and so is the same for every process that
// looks. It keeps no files, and knows nothing of what the objects are.
package s3

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/storage"
)

// Options say which bucket, and how it is used. Bucket is needed, the rest has defaults.
type Options struct {
	Bucket    string
	Region    string // "": us-east-1
	Endpoint  string // "": AWS; else http(s)://host[:port] of another server
	PathStyle bool   // the bucket stands in the path and not in the host name
	AccessKey string // "" with SecretKey "": the SDK's own chain (environment, files, roles)
	SecretKey string
	Prefix    string // of every key: "" or a valid key, without a slash at its end

	Checksums string // "" or "crc32c": CRC32C of every part and of the whole, checked by the server; "none": for servers that know none
	PartSize  int64  // bytes, all parts but the last have it; 0: 8 MiB. Grows with the declared length, so that 10,000 parts suffice

	InFlight    int // parts of one upload on their way at once; 0: 4
	MaxInFlight int // parts of all uploads; 0: 16

	CopyParts bool          // join by UploadPartCopy; false: the bytes pass through (R2 wants all parts equal)
	Expiry    time.Duration // what a crash left of an upload nobody knows is dropped so long after it began; 0: 24 h
	Logger    *slog.Logger  // nil: discards

	backoff time.Duration // the longest wait between repetitions of a request; 0: 2 s
}

// What Options mean when they say nothing, and the protocol's bounds.
const (
	defaultPart      = 8 << 20
	unknownPart      = 16 << 20 // of a write whose length is not declared: 160 GB fit
	minPart          = 5 << 20
	maxPart          = 5 << 30
	maxParts         = 10_000
	sparePartNumbers = 1_000 // kept for takeovers, which skip numbers
	defaultInFlight  = 4
	defaultAll       = 16
	defaultExpiry    = 24 * time.Hour
)

// Driver is a storage.Driver over one bucket.
type Driver struct {
	api     *s3.Client
	presign *s3.PresignClient
	o       Options
	log     *slog.Logger

	slots  chan struct{} // a part on its way holds one
	blocks blocks
	kept   atomic.Int64 // bytes of tails that idle handles keep in memory

	mu   sync.Mutex
	busy map[string]bool // keys that a handle of this process works on

	janitor janitor
}

var (
	_ storage.Driver       = (*Driver)(nil)
	_ storage.Putter       = (*Driver)(nil)
	_ storage.Concatenator = (*Driver)(nil)
	_ storage.Presigner    = (*Driver)(nil)
	_ storage.Tidier       = (*Driver)(nil)
)

// Open makes a Driver. It checks the options only and asks nobody: see Probe.
func Open(ctx context.Context, o Options) (*Driver, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	api, err := o.client(ctx)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		api: api, presign: s3.NewPresignClient(api), o: o, log: o.Logger, slots: make(chan struct{}, o.MaxInFlight), blocks: newBlocks(),
		busy: map[string]bool{},
	}
	d.janitor.start(ctx, d)
	return d, nil
}

func (o *Options) fill() error {
	if o.Bucket == "" {
		return fmt.Errorf("storage s3: a bucket is needed")
	}
	if o.Endpoint != "" {
		if u, err := url.Parse(o.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("storage s3: the endpoint %q is not an absolute http or https URL", o.Endpoint)
		}
	}
	if (o.AccessKey == "") != (o.SecretKey == "") {
		return fmt.Errorf("storage s3: access key and secret key come together")
	}
	if o.Prefix != "" {
		if err := storage.CheckKey(o.Prefix); err != nil {
			return fmt.Errorf("storage s3: the prefix %q is not a key", o.Prefix)
		}
	}
	switch o.Checksums {
	case "", "crc32c", "none":
	default:
		return fmt.Errorf("storage s3: checksums are crc32c or none, not %q", o.Checksums)
	}
	if o.PartSize == 0 {
		o.PartSize = defaultPart
	}
	if o.PartSize < minPart || o.PartSize > maxPart {
		return fmt.Errorf("storage s3: a part is 5 MiB to 5 GiB, not %d bytes", o.PartSize)
	}
	if o.InFlight < 0 || o.MaxInFlight < 0 || o.Expiry < 0 {
		return fmt.Errorf("storage s3: counts and durations are not negative")
	}
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.InFlight = cmp.Or(o.InFlight, defaultInFlight)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, defaultAll)
	o.Expiry = cmp.Or(o.Expiry, defaultExpiry)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (o *Options) sums() bool { return o.Checksums != "none" }

// client makes the SDK's client. Bodies are not hashed by it: SHA-256 takes longer than the network, and CRC32C goes along instead.
func (o *Options) client(ctx context.Context) (*s3.Client, error) {
	load := []func(*config.LoadOptions) error{
		config.WithRegion(o.Region),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = 2 * o.MaxInFlight
			t.MaxIdleConns = 4 * o.MaxInFlight
			t.WriteBufferSize = 256 << 10
			t.ReadBufferSize = 64 << 10
			t.ResponseHeaderTimeout = headerWait
		})),
		config.WithRetryer(func() aws.Retryer {
			// 409: another request is at the same object, or (where objects are files) in the same folder.
			return retry.AddWithErrorCodes(retry.NewStandard(func(r *retry.StandardOptions) {
				r.MaxAttempts = attempts
				r.MaxBackoff = cmp.Or(o.backoff, 2*time.Second)
				r.RateLimiter = noLimit{}
			}), "ConditionalRequestConflict", "OperationAborted", "ExistingObjectIsDirectory")
		}),
	}
	if o.AccessKey != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, "")))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("storage s3: configure the client: %w", err)
	}
	return s3.NewFromConfig(c, func(so *s3.Options) {
		if o.Endpoint != "" {
			so.BaseEndpoint = aws.String(o.Endpoint)
		}
		so.UsePathStyle = o.PathStyle
		so.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		so.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		so.DisableLogOutputChecksumValidationSkipped = true
		so.ContinueHeaderThresholdBytes = -1 // Expect: 100-continue is a round trip for each part, and refusals are rare
		so.APIOptions = append(so.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	}), nil
}

// noLimit lets every retry through: uploads that fail together must not starve each other of retries.
type noLimit struct{}

func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noLimit) AddTokens(uint) error { return nil }

// Close waits for what works in the background.
func (d *Driver) Close() error {
	d.janitor.stop()
	return nil
}
