package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"sluice/catalogue"
	"sluice/configs"
	"sluice/gateway"
	"sluice/media"
	"sluice/storage"
	"sluice/storage/local"
	"sluice/storage/s3"
)

// How long a backend is waited for: at start until it answers, and by the doctor for all that it tries.
const (
	probeWait = 10 * time.Second
	trialWait = 20 * time.Second
)

// openBackend is a backend whose driver is open. Nobody has been asked yet whether it is there.
type openBackend struct {
	storage.Backend
	config configs.Backend
	probe  func(context.Context) error
	close  func() error
}

// openBackends is every backend, the default first.
type openBackends []openBackend

// openStorage opens what the configuration names.
func openStorage(ctx context.Context, c *configs.Config, log *slog.Logger) (openBackends, error) {
	var all openBackends
	for _, b := range c.Backends() {
		o, err := openDriver(ctx, c, b, log)
		if err != nil {
			return nil, errors.Join(err, all.close())
		}
		all = append(all, o)
	}
	if err := all.apart(); err != nil {
		return nil, errors.Join(err, all.close())
	}
	return all, nil
}

// openDriver opens one. Options that cannot work are refused; whether the backend is there is for probe to tell.
func openDriver(ctx context.Context, c *configs.Config, b configs.Backend, log *slog.Logger) (openBackend, error) {
	log = log.With(slog.String("backend", b.Name))
	if b.Type == configs.LocalBackend {
		d, err := local.Open(b.Path, local.Options{MinFree: int64(c.Storage.MinFree), Logger: log})
		if err != nil {
			return openBackend{}, refuse(err, "let the process write that folder, or name another", "the backend %s: the folder %s cannot be used: %v", b.Name, b.Path, reason(err))
		}
		return openBackend{
			Backend: storage.Backend{Name: b.Name, Type: media.Local, Driver: d}, config: b,
			probe: func(context.Context) error { _, err := os.Stat(b.Path); return err }, close: d.Close,
		}, nil
	}
	d, err := s3.Open(ctx, s3.Options{
		Bucket: b.Bucket, Region: b.Region, Endpoint: b.Endpoint, PathStyle: b.PathStyle, AccessKey: b.AccessKey.Reveal(), SecretKey: b.SecretKey.Reveal(),
		Prefix: b.Prefix, Checksums: string(b.Checksums), PartSize: int64(b.PartSize), InFlight: b.InFlight, CopyParts: b.CopyParts,
		Logger: log,
	})
	if err != nil {
		return openBackend{}, refuse(err, "correct storage.backends."+b.Name+"; configs/default.yaml says what it takes", "the backend %s: %v", b.Name, err)
	}
	return openBackend{
		Backend: storage.Backend{Name: b.Name, Type: media.S3, Driver: d, Delivery: storage.Delivery(b.Delivery), RedirectTTL: b.RedirectTTL}, config: b,
		probe: d.Probe, close: d.Close,
	}, nil
}

// reason takes the path out of a file error: it is named already.
func reason(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// apart refuses two local backends in one folder, by whatever names and links: each would sweep away what the other keeps.
func (all openBackends) apart() error {
	var names []string
	var infos []os.FileInfo
	for _, b := range all {
		if b.config.Type != configs.LocalBackend {
			continue
		}
		info, err := os.Stat(b.config.Path)
		if err != nil {
			return refuse(err, "let the process read that folder", "the backend %s: the folder %s cannot be read: %v", b.Name, b.config.Path, reason(err))
		}
		for i, other := range infos {
			if os.SameFile(other, info) {
				return refuse(nil, "give each a folder of its own: what one keeps, the other would sweep away",
					"the backends %s and %s keep their bytes in one folder", names[i], b.Name)
			}
		}
		names, infos = append(names, b.Name), append(infos, info)
	}
	return nil
}

// store makes the Store of them, with the rules between them.
func (all openBackends) store(c *configs.Config) (*storage.Store, error) {
	list := make([]storage.Backend, len(all))
	for i, b := range all {
		list[i] = b.Backend
	}
	return storage.New(list, routes(c.Storage.Rules)...)
}

func routes(rules []configs.Rule) []storage.Rule {
	list := make([]storage.Rule, len(rules))
	for i, r := range rules {
		list[i] = storage.Rule{
			Kind: media.PlacementKind(r.Kind), MIME: r.MIME, Type: media.Type(r.Type), Product: r.Product, Course: r.Course, Lesson: r.Lesson,
			Reference: media.Subject{Type: media.SubjectType(r.ReferenceType), ID: r.ReferenceID}, Public: r.Public, Backend: r.Backend,
		}
		if r.Size != nil {
			list[i].Size = &storage.Sizes{Least: int64(r.Size.Least), Most: int64(r.Size.Most)}
		}
	}
	return list
}

// checks are what /readyz asks. Without the default nothing new comes in; without another the rest goes on.
func (all openBackends) checks() []gateway.Check {
	list := make([]gateway.Check, len(all))
	for i, b := range all {
		list[i] = gateway.Check{Name: "storage " + b.Name, Probe: b.probe}
	}
	list[0].Name, list[0].Critical = "storage", true
	return list
}

// prove asks every backend that is another's machine whether it is there, and says so.
func (all openBackends) prove(ctx context.Context, out io.Writer) error {
	for _, b := range all {
		if b.config.Type != configs.S3Backend {
			continue
		}
		if err := b.ask(ctx, probeWait); err != nil {
			return err
		}
		say(out, "S3 bucket %s reachable (backend %s)\n", b.config.Bucket, b.Name)
	}
	return nil
}

// ask probes, and says in words for the operator what is wrong.
func (b openBackend) ask(ctx context.Context, wait time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := b.probe(limited)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if p, ok := errors.AsType[*s3.ProbeError](err); ok {
		return refuse(err, p.Fix, "the backend %s: %s", b.Name, p.Cause)
	}
	return refuse(err, "look at the storage; sluice doctor tries all of it", "the backend %s cannot be used: %v", b.Name, err)
}

// try puts a small object, reads it back and deletes it, as an upload does with a larger one.
func (b openBackend) try(ctx context.Context) error {
	store, err := storage.New([]storage.Backend{b.Backend})
	if err != nil {
		return err
	}
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails
	key, data := "doctor/"+hex.EncodeToString(random[:]), []byte("sluice doctor\n")
	o, err := store.Put(ctx, b.Name, key, data)
	if err != nil {
		return b.denied("put", "s3:PutObject", err)
	}
	if err := readBack(ctx, store, b.Name, o, data); err != nil {
		_ = store.Delete(ctx, b.Name, key) // the first error says more
		return b.denied("read", "s3:GetObject", err)
	}
	if err := store.Delete(ctx, b.Name, key); err != nil {
		return b.denied("deleted", "s3:DeleteObject", err)
	}
	return nil
}

func readBack(ctx context.Context, store *storage.Store, backend string, o media.Object, want []byte) error {
	r, err := store.Read(ctx, backend, o, 0, o.Size)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err == nil && !bytes.Equal(got, want) {
		err = errors.New("other bytes came back")
	}
	return err
}

// denied says what an object could not be.
func (b openBackend) denied(what, permission string, err error) error {
	fix := "look at the disk: df, dmesg"
	if b.config.Type == configs.S3Backend {
		fix = "allow " + permission + " to its key, beside s3:PutObject, GetObject, DeleteObject, ListBucket, AbortMultipartUpload and ListMultipartUploadParts"
	}
	if errors.Is(err, media.Full) {
		fix = "delete media (sluice ls --sort -size, sluice rm), enlarge the disk, or lower SLUICE_MIN_FREE"
	}
	return refuse(err, fix, "the backend %s: an object could not be %s: %v", b.Name, what, err)
}

// tellUnknown warns of media that nobody can read: their backend is not configured, or has another name now.
func (a *application) tellUnknown(ctx context.Context) error {
	counts, err := a.catalogue.Backends(ctx)
	if err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "media of each backend not counted", slog.Any("error", err))
	}
	for _, name := range unknown(counts, a.backends.names()) {
		a.log.WarnContext(ctx, "media are kept by a backend that is not configured", slog.String("backend", name), slog.Int64("media", counts[name]))
	}
	return nil
}

// unknown gives the names that rows have and the configuration has not, in order.
func unknown(counts map[string]int64, configured []string) []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(counts)), func(name string) bool { return slices.Contains(configured, name) })
	slices.Sort(names)
	return names
}

func (all openBackends) names() []string {
	names := make([]string, len(all))
	for i, b := range all {
		names[i] = b.Name
	}
	return names
}

func (all openBackends) close() error {
	var errs []error
	for _, b := range all {
		errs = append(errs, b.close())
	}
	return errors.Join(errs...)
}

// lookBackend is the doctor's look at one backend.
func lookBackend(ctx context.Context, l *configs.Loaded, b configs.Backend) (saw string, err error) {
	ctx, cancel := context.WithTimeout(ctx, trialWait)
	defer cancel()
	where := "bucket " + b.Bucket
	if b.Type == configs.LocalBackend {
		if saw, err := lookFolder(b); err != nil || saw != "" {
			return saw, err
		}
		where = b.Path
	}
	o, err := openDriver(ctx, &l.Config, b, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if err := o.ask(ctx, probeWait); err != nil {
		return "", err
	}
	if err := o.try(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: an object was put, read and deleted", where), nil
}

// lookFolder says what it saw of a folder that no start has laid out yet, and nothing of any other: opening it would make folders.
func lookFolder(b configs.Backend) (saw string, err error) {
	info, err := os.Stat(b.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := canMake(b.Path); err != nil {
			return "", err
		}
		return b.Path + " is not there yet; the first start makes it", nil
	case err != nil || !info.IsDir():
		return "", refuse(err, "name a folder", "the backend %s: %s is not a folder that can be read", b.Name, b.Path)
	}
	if _, err := os.Stat(strings.TrimRight(b.Path, "/") + "/objects/others"); err == nil {
		return "", nil
	}
	if err := canWrite(b.Path); err != nil {
		return "", err
	}
	return b.Path + " can be written; the first start lays it out", nil
}

// lookUnknown finds media whose backend is not configured.
func lookUnknown(ctx context.Context, l *configs.Loaded) (saw string, err error) {
	if !l.DB.Enabled {
		if _, err := os.Stat(l.Path("catalogue.db")); err != nil {
			return "no media yet", nil
		}
	}
	books, err := openCatalogue(ctx, &l.Config, catalogue.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	if current, _, err := books.Version(ctx); err != nil || current == 0 {
		return "no media yet", err
	}
	counts, err := books.Backends(ctx)
	if err != nil {
		return "", fmt.Errorf("count the media of each backend: %w", err)
	}
	var names []string
	for _, b := range l.Backends() {
		names = append(names, b.Name)
	}
	if lost := unknown(counts, names); len(lost) > 0 {
		for i, name := range lost {
			lost[i] = fmt.Sprintf("%s (%d media)", name, counts[name])
		}
		return "", caution{refuse(nil, "configure it again in storage.backends by that name, or delete the media: until then they answer 503",
			"media are kept by a backend that is not configured: %s", strings.Join(lost, ", "))}
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d media)", name, counts[name])
	}
	return strings.Join(names, ", "), nil
}
