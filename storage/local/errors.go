package local

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sluice/media"
)

// kinded gives an error of the file system the kind that storage.Driver promises for it.
func kinded(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	number, _ := errors.AsType[unix.Errno](err)
	switch number {
	case unix.ENOENT, unix.ELOOP, unix.ENOTDIR: // the last two: a symbolic link stands where our file should be
		return media.Wrap(media.NotFound, err, "there is no such file")
	case unix.ENOSPC, unix.EDQUOT, unix.EFBIG:
		return media.Wrap(media.Full, err, "there is no space left")
	case unix.EMFILE, unix.ENFILE, unix.EIO, unix.EROFS, unix.ESTALE:
		return media.Wrap(media.Unavailable, err, "the storage is away")
	default:
		return err
	}
}

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

func errPoisoned() error {
	return &media.Error{Kind: media.Gone, Code: "write_failed", Detail: "the storage could not keep what was sent; start again"}
}

func modTime(st *unix.Stat_t) time.Time { return time.Unix(st.Mtim.Unix()).UTC() }
