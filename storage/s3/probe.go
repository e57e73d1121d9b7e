package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// ProbeError says in one line why a bucket cannot be used, and in another what to do about it.
type ProbeError struct {
	Cause, Fix string
	Err        error
}

func (e *ProbeError) Error() string { return e.Cause }

// Unwrap gives the server's own words.
func (e *ProbeError) Unwrap() error { return e.Err }

// Probe asks the bucket for the first name in it. What is wrong comes as a *ProbeError.
func (d *Driver) Probe(ctx context.Context) error {
	_, err := d.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &d.o.Bucket, Prefix: aws.String(d.root()), MaxKeys: aws.Int32(1)})
	if err == nil {
		return nil
	}
	where := d.o.Endpoint
	if where == "" {
		where = "S3 in " + d.o.Region
	}
	e := &ProbeError{Err: err}
	switch code := codeOf(err); code {
	case "NoSuchBucket":
		e.Cause, e.Fix = fmt.Sprintf("there is no bucket %s at %s", d.o.Bucket, where), "create it, or set the bucket to one that is there"
	case "InvalidAccessKeyId", "XAdminUserNotFound":
		e.Cause, e.Fix = "the access key is not known at "+where, "set the access key of a user that the server knows"
	case "SignatureDoesNotMatch":
		e.Cause, e.Fix = "the secret key is not the access key's at "+where, "set the secret key again, without spaces or quotes around it"
	case "AccessDenied", "Forbidden", "AllAccessDisabled":
		e.Cause, e.Fix = fmt.Sprintf("the access key may not list bucket %s at %s", d.o.Bucket, where),
			"allow it s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		e.Cause, e.Fix = fmt.Sprintf("bucket %s is not in region %s", d.o.Bucket, d.o.Region), "set the region of the bucket"
	case "RequestTimeTooSkewed":
		e.Cause, e.Fix = "the clock of this machine and that of "+where+" are over 15 minutes apart", "let both follow NTP"
	default:
		d.unreachable(e, where, code)
	}
	return e
}

func (d *Driver) unreachable(e *ProbeError, where, code string) {
	_, dns := errors.AsType[*net.DNSError](e.Err)
	_, network := errors.AsType[net.Error](e.Err)
	switch status := statusOf(e.Err); {
	case dns:
		e.Cause, e.Fix = "the host of "+where+" is not known", "correct the endpoint; where buckets are not host names set path_style"
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		e.Cause, e.Fix = where+" refuses the access key", "set access key and secret key"
	case status != 0:
		e.Cause, e.Fix = fmt.Sprintf("%s answers %d %s", where, status, code), "see that the endpoint is an S3 server; path_style may be needed"
	case network || errors.Is(e.Err, context.DeadlineExceeded):
		e.Cause, e.Fix = where+" cannot be reached", "start the server, or correct the endpoint"
	default:
		e.Cause, e.Fix = where+" cannot be asked: "+e.Err.Error(), "see that access key and secret key are set"
	}
}
