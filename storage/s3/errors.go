package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"sluice/media"
)

// kinded gives an answer of the server, or the lack of one, the kind that storage.Driver promises for it.
func kinded(doing string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s: %w", doing, err)
	if errors.Is(err, context.Canceled) {
		return wrapped
	}
	switch code := codeOf(err); {
	case code == "NoSuchKey", code == "NoSuchUpload":
		return media.Wrap(media.NotFound, wrapped, "there is no such file")
	case code == "QuotaExceeded", code == "XMinioStorageFull", code == "InsufficientStorage", statusOf(err) == http.StatusInsufficientStorage:
		return media.Wrap(media.Full, wrapped, "there is no space left")
	case code == "EntityTooLarge":
		return media.Wrap(media.TooLarge, wrapped, "the storage takes no file of that size")
	}
	// No answer, 5xx, and refusals that whoever runs the storage has to mend: keys, buckets, permissions.
	return media.Wrap(media.Unavailable, wrapped, "the storage is away")
}

// codeOf gives the server's own word for an error. Where an answer has none the SDK makes one of its status: NotFound.
func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}

// missing reports whether the server knows what was asked for not to be there. A mere 404 does not say so: a proxy whose server is away
// answers that too, and what is missing is removed from the catalogue.
func missing(err error) bool {
	switch codeOf(err) {
	case "NoSuchKey", "NoSuchUpload":
		return true
	}
	return false
}

// lostRace reports whether a conditional request came too late: somebody else changed, made or removed the object before.
func lostRace(err error) bool {
	switch codeOf(err) {
	case "PreconditionFailed", "NoSuchKey":
		return true
	}
	return statusOf(err) == http.StatusPreconditionFailed
}

func errMissing() error { return media.Errorf(media.NotFound, "there is no such file") }

func errTaken() error {
	return &media.Error{Kind: media.Conflict, Code: "key_taken", Detail: "there is a file or an upload of that name"}
}

func errCommitted() error {
	return &media.Error{Kind: media.Conflict, Code: "already_complete", Detail: "the file is complete"}
}

func errOffset(at int64) error {
	return &media.Error{Kind: media.Conflict, Code: "offset_mismatch", Detail: fmt.Sprintf("the offset is %d", at)}
}

func errLocked() error {
	return &media.Error{Kind: media.Locked, Code: "being_written", Detail: "somebody else is writing"}
}

// errFenced is told to whoever was overtaken by another process.
func errFenced() error {
	return &media.Error{Kind: media.Conflict, Code: "upload_taken_over", Detail: "another request goes on with this upload"}
}

// leftError ends parts that are still on their way a while after their client has left.
type leftError struct{}

func (leftError) Error() string { return "the storage is slow, and the client has left" }

func errLeft() error { return media.Wrap(media.Unavailable, leftError{}, "the storage is slow") }

func errTooMany() error {
	return &media.Error{Kind: media.TooLarge, Code: "too_many_parts", Detail: "the file has more parts than the storage takes; declare its length when it is created"}
}

func errBeyond(size int64) error {
	return &media.Error{Kind: media.TooLarge, Code: "upload_size_exceeded", Detail: fmt.Sprintf("more bytes than the declared %d", size)}
}

// noEOF names a body that ends before its length for what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
