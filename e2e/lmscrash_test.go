package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// lmsMarks begin the names of the places between two steps of work on both databases.
const lmsMarks = "lms: "

// Killed between any two steps of making, deleting and restoring a product with images, the gateway has all of it or nothing once it is back.
func TestACrashLeavesNoHalfAProduct(t *testing.T) {
	t.Parallel()
	marks := stepsOfTheLMS(t)
	for name, env := range map[string]func(*testing.T) []string{"embedded": func(*testing.T) []string { return nil }, "servers": everyServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := livetest.Sluice(t, livetest.Options{Tags: []string{"crashpoints"}, Env: env(t), Off: true})
			c := newClient(t, s, "ann", "instructor")
			for _, mark := range marks {
				for pass := 1; ; pass++ {
					died, err := halfAProduct(t.Context(), s, c, fmt.Sprint(mark, "#", pass))
					if err != nil {
						t.Errorf("%s, pass %d: %v", mark, pass, err)
					}
					if !died && pass == 1 {
						t.Errorf("nothing reached the mark %q", mark)
					}
					if !died || t.Failed() {
						break
					}
				}
			}
		})
	}
}

// stepsOfTheLMS are the marks between two steps of work on both databases.
func stepsOfTheLMS(t *testing.T) []string {
	t.Helper()
	marks := slices.DeleteFunc(crashMarks(t), func(mark string) bool { return !strings.HasPrefix(mark, lmsMarks) })
	if len(marks) < 8 {
		t.Fatalf("found the marks %v only", marks)
	}
	return marks
}

// shop is one product with two images on its way through its life.
type shop struct {
	c       *client
	name    string
	cover   string // media id
	product string // once told
	told    string // the last thing that was acknowledged: made, deleted, restored, gone
	thinned bool   // one of its images was asked to be taken away
}

// halfAProduct makes, deletes, restores and deletes a product for good, until the gateway dies at mark, and holds it to "all or nothing" when it is back.
func halfAProduct(ctx context.Context, s *livetest.Server, c *client, mark string) (died bool, err error) {
	if err := s.Launch("SLUICE_CRASH_AT=" + mark); err != nil {
		return false, err
	}
	w := &shop{c: c, name: mark}
	if err := w.live(ctx); err != nil {
		if !s.Ended(5 * time.Second) {
			return false, fmt.Errorf("while the gateway lives: %w", err)
		}
		died = true
	}
	if !died {
		s.Kill()
	}
	if err := s.Launch(); err != nil {
		return died, err
	}
	defer s.Kill()
	return died, w.settled(ctx)
}

func (w *shop) live(ctx context.Context) error {
	up, err := w.c.create(ctx, 1000, map[string]string{"filename": "cover.bin"}, newSource(1000).from(0), 1000)
	if err != nil {
		return err
	}
	w.cover = up.id
	var made struct {
		Product struct{ ID string }
		Images  []struct{ ID string }
	}
	body := map[string]any{"name": w.name, "images": []any{w.cover, "https://cdn.example.com/side.jpg"}}
	if err := w.c.call(ctx, http.MethodPost, "/api/products", body, &made, http.StatusCreated); err != nil {
		return err
	}
	if made.Product.ID == "" || len(made.Images) != 2 {
		return fmt.Errorf("made, and told of the product %q with %d images", made.Product.ID, len(made.Images))
	}
	w.product, w.told = made.Product.ID, "made"
	a, err := w.c.do(ctx, http.MethodDelete, "/api/products/"+w.product, nil, 0, append(w.c.auth(), "If-Match", "*")...)
	if err != nil || a.status != http.StatusNoContent {
		return errors.Join(err, &statusError{"delete", a})
	}
	w.told = "deleted"
	if err := w.c.call(ctx, http.MethodPost, "/api/products/"+w.product+"/restore", nil, nil, http.StatusOK); err != nil {
		return err
	}
	w.told, w.thinned = "restored", true
	if a, err = w.c.do(ctx, http.MethodDelete, "/api/products/"+w.product+"/images/"+made.Images[1].ID, nil, 0, append(w.c.auth(), "If-Match", "*")...); err != nil || a.status != http.StatusNoContent {
		return errors.Join(err, &statusError{"take an image away", a})
	}
	a, err = w.c.do(ctx, http.MethodDelete, "/api/products/"+w.product+"?purge=true", nil, 0, append(w.c.auth(), "If-Match", "*")...)
	if err != nil || a.status != http.StatusNoContent {
		return errors.Join(err, &statusError{"delete for good", a})
	}
	w.told = "gone"
	return nil
}

// settled waits until what was cut off is finished or undone, and looks at what there is then.
func (w *shop) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second) // others' work is undone when its lease is over
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := w.whole(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// whole reports in what way the product is there in half.
func (w *shop) whole(ctx context.Context) error {
	var mine struct{ Items []struct{ ID, Name string } }
	if err := w.c.call(ctx, http.MethodGet, "/api/products?mine=true&limit=200", nil, &mine, http.StatusOK); err != nil {
		return err
	}
	var ids []string
	for _, p := range mine.Items {
		if p.Name == w.name {
			ids = append(ids, p.ID)
		}
	}
	cover, err := w.c.do(ctx, http.MethodGet, "/api/media/"+w.cover, nil, 0, w.c.auth()...)
	if err != nil {
		return err
	}
	var at struct{ Kind, MongoProductID string }
	if cover.status == http.StatusOK {
		if err := json.Unmarshal(cover.body, &at); err != nil {
			return err
		}
	}
	switch {
	case w.cover == "" && len(ids) == 0:
		return nil
	case len(ids) > 1:
		return fmt.Errorf("it is there %d times", len(ids))
	case len(ids) == 1 && w.told == "gone":
		return errors.New("it was deleted for good, and is there")
	case len(ids) == 1:
		return w.there(ctx, ids[0], at.MongoProductID)
	case cover.status == http.StatusOK && at.MongoProductID != "":
		return fmt.Errorf("it is not there, and its image hangs on %s", at.MongoProductID)
	case cover.status == http.StatusNotFound && w.product == "":
		return errors.New("it was never made, and the upload is gone")
	case cover.status != http.StatusOK && cover.status != http.StatusNotFound:
		return fmt.Errorf("its image: %s", cover)
	}
	return nil
}

func (w *shop) there(ctx context.Context, id, hangsOn string) error {
	var view struct{ Images []struct{ MediaID string } }
	if err := w.c.call(ctx, http.MethodGet, "/api/products/"+id, nil, &view, http.StatusOK); err != nil {
		return err
	}
	if n := len(view.Images); n != 2 && !(n == 1 && w.thinned) || view.Images[0].MediaID != w.cover || hangsOn != id {
		return fmt.Errorf("it is there with %d images, and its upload hangs on %q", len(view.Images), hangsOn)
	}
	return nil
}
