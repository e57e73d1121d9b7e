package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// BenchmarkCombinedReads reads products and courses with their media from a gateway over real servers, cached and for the first time, one request after the other,
// and tells the median. What the MongoDB of the tests costs alone shows in the reads of records.
func BenchmarkCombinedReads(b *testing.B) {
	mongo, db := livetest.Mongo(b), newDatabase(b)
	s := livetest.Sluice(b, livetest.Options{Env: append(db.env(), "REDIS_URL="+livetest.Redis(b).URL(), "MONGODB_URI="+mongo.URI("lms"), "SLUICE_LOG_ACCESS=false")})
	c, ctx := newClient(b, s, "root", "admin"), b.Context()
	const cold = 200
	products := make([]string, cold)
	for i := range products {
		products[i] = c.stocked(ctx, b, i)
	}
	course := c.filled(ctx, b, 200)
	for name, path := range map[string]string{
		"a product with 5 images, cached": "/api/products/" + products[0], "a course with 200 videos, cached": "/api/courses/" + course,
		"a record alone, from MongoDB": "/api/records/product/" + products[cold/2],
	} {
		b.Run(name, func(b *testing.B) { c.median(ctx, b, func(int) string { return path }) })
	}
	b.Run("a product with 5 images, cold", func(b *testing.B) {
		restart(b, s)
		c.median(ctx, b, func(i int) string {
			if i == cold {
				b.Fatalf("each product is read for the first time once: take -benchtime %dx", cold)
			}
			return "/api/products/" + products[i]
		})
	})
}

// restart empties the gateway's memory; Redis keeps what it has for a minute, so that it is flushed as well by a new namespace.
func restart(b *testing.B, s *livetest.Server) {
	b.Helper()
	s.Kill()
	s.Start(fmt.Sprint("SLUICE_REDIS_NAMESPACE=bench", time.Now().UnixNano()%1e9))
}

// stocked makes a product with five images.
func (c *client) stocked(ctx context.Context, b *testing.B, i int) string {
	b.Helper()
	images := make([]any, 5)
	for j := range images {
		images[j] = map[string]any{"url": fmt.Sprintf("https://cdn.example.com/%d/%d.jpg", i, j), "altText": "an image", "isPublic": true}
	}
	var made struct{ Product struct{ ID string } }
	body := map[string]any{"name": fmt.Sprint("Product ", i), "price": 10, "category": "things", "images": images}
	if err := c.call(ctx, http.MethodPost, "/api/products", body, &made, http.StatusCreated); err != nil {
		b.Fatal(err)
	}
	return made.Product.ID
}

// filled makes a course with n videos.
func (c *client) filled(ctx context.Context, b *testing.B, n int) string {
	b.Helper()
	id, err := c.newCourse(ctx, "a large course")
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		body := map[string]any{"url": fmt.Sprintf("https://cdn.example.com/%d.mp4", i), "videoType": "lesson", "position": i, "title": fmt.Sprint("Lesson ", i)}
		if err := c.call(ctx, http.MethodPost, "/api/courses/"+id+"/videos", body, nil, http.StatusCreated); err != nil {
			b.Fatal(err)
		}
	}
	return id
}

func (c *client) median(ctx context.Context, b *testing.B, path func(i int) string) {
	b.Helper()
	took := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		a, err := c.do(ctx, http.MethodGet, path(i), nil, 0, c.auth()...)
		took = append(took, time.Since(began))
		if err != nil || a.status != http.StatusOK {
			b.Fatalf("%v, %v", a, err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "us-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "us-p99")
}
