package storage

import (
	"context"
	"io"
	"iter"
	"os"
	"time"

	"sluice/media"
)

// Driver is one storage backend. It sees valid keys only, and ranges that lie inside the object. Every promise here is a case of
// storagetest of the same words. Missing objects and writes are media.NotFound, a full disk is media.Full, a backend that is away is
// media.Unavailable. A Driver is safe for concurrent use.
type Driver interface {
	// Stat tells size and time of a committed object.
	Stat(ctx context.Context, key string) (media.Object, error)

	// Read streams n bytes from off: 0 <= off, 0 < n, off+n <= o.Size. It takes no lock that a writer could hold.
	Read(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error)

	// Delete removes a committed object; a second time it is media.NotFound. Readers that have begun may finish.
	Delete(ctx context.Context, key string) error

	// List walks the committed objects whose key begins with prefix, in key order.
	List(ctx context.Context, prefix string) iter.Seq2[media.Object, error]

	// Begin starts a write of size bytes, or of media.UnknownLength. Nothing is visible under key before Commit. A key that has a
	// write or an object already is media.Conflict.
	Begin(ctx context.Context, key string, size int64) (Write, error)

	// Resume opens the unfinished write of key again, from any process, after any crash. When the key is committed already it gives a
	// Write whose Offset is the object's size and whose Commit answers the object.
	Resume(ctx context.Context, key string) (Write, error)

	// Unfinished walks the keys with a write that is neither committed nor aborted, for the sweeper, with the time of its last change. Size
	// is how far it is, or media.UnknownLength where that would be a question for each.
	Unfinished(ctx context.Context) iter.Seq2[media.Object, error]
}

// Write is one object on its way in. One caller at a time appends; Offset may be asked by anyone at any time. Of two that append at once,
// in one process or in several, the later one is told media.Locked, or the earlier one keeps nothing more from then on: their bytes never
// mix.
type Write interface {
	// Offset tells the bytes that survive a crash of the process, whichever process stored them. While an append is under way it may tell
	// less than that has read.
	Offset(ctx context.Context) (int64, error)

	// Append stores what r gives at off, which must equal Offset (else media.Conflict and nothing is kept). It returns how many bytes
	// were kept, also beside an error, and an error of r as it came.
	Append(ctx context.Context, off int64, r io.Reader) (int64, error)

	// Sync makes all bytes appended so far survive a power cut. After it has failed once the write refuses everything but Abort and
	// Close: the kernel may have dropped the pages that could not be written.
	Sync(ctx context.Context) error

	// Commit makes the object durable, power cut included, and visible, whole, at once. It may be repeated, also by another process
	// after a crash at any point of the first, and answers the same object.
	Commit(ctx context.Context) (media.Object, error)

	// Abort drops the write and its bytes. It may be repeated. After Commit it is media.Conflict.
	Abort(ctx context.Context) error

	// Close gives up the handle (descriptor, buffers) and keeps the bytes for a later Resume. It may be repeated.
	Close() error
}

// Recaller is a Write for which Offset is a question to another machine.
type Recaller interface {
	// Recall tells the offset as this handle last knew it, and whether it knows one, without asking. Where that is out of date an Append
	// is media.Conflict and keeps nothing.
	Recall() (int64, bool)
}

// Section is a run of bytes in an open file.
type Section struct {
	File   *os.File
	Off, N int64
}

// FileDriver is a Driver whose objects are files, so that they can go out by sendfile(2).
type FileDriver interface {
	// Sections gives the files that hold n bytes from off, in order: one for an ordinary object, several for one joined by Concat.
	// The caller closes each File.
	Sections(ctx context.Context, o media.Object, off, n int64) ([]Section, error)
}

// Putter is a Driver that has a faster way for a small object whose bytes are all there.
type Putter interface {
	// Put makes data an object: when it returns it is durable, power cut included. When it fails nothing stays. A power cut inside it may
	// leave part of the data under key, so that key must be one that nothing refers to yet, and has no write. A key that has an object is
	// media.Conflict.
	Put(ctx context.Context, key string, data []byte) (media.Object, error)
}

// Presentation is how a backend's own URL is to present an object: the headers of its answers. Empty fields are left to the backend.
type Presentation struct {
	ContentType        string
	ContentDisposition string
	CacheControl       string
}

// Presigner is a Driver whose backend serves objects by itself, to whoever holds a signed URL.
type Presigner interface {
	// Presign gives a URL of the backend's own for GET of o, ranges included, that was signed at issued and holds for life after
	// that. The same arguments give the same URL. It asks nobody and does not tell whether o exists.
	Presign(ctx context.Context, o media.Object, p Presentation, issued time.Time, life time.Duration) (string, error)
}

// Tidier is a Driver in whose backend a crash can leave what no object and no write speaks of.
type Tidier interface {
	// Tidy removes it, once it is of an age at which nobody can be about to speak of it.
	Tidy(ctx context.Context) error
}

// Concatenator is a Driver that joins objects without passing their bytes through.
type Concatenator interface {
	// Concat makes the committed parts, in order, one object under key. It may be repeated, also after a crash. The parts stay and can be
	// deleted afterwards without harm to the whole. errors.ErrUnsupported: the backend cannot, and nothing was done.
	Concat(ctx context.Context, key string, parts []string) (media.Object, error)
}
