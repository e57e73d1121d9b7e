package entities_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/entities"
	"sluice/media"
)

type fields = map[string]any

func TestGrants(t *testing.T) {
	t.Parallel()
	id := func(n int) string { return fmt.Sprintf("65a0000000000000%08x", n) }
	p := func(n int) media.Subject { return media.Subject{Type: media.Product, ID: id(n)} }
	c := func(n int) media.Subject { return media.Subject{Type: media.Course, ID: id(n)} }
	course := func(with fields) fields {
		with["courseId"] = id(1)
		return with
	}
	for _, tc := range []struct {
		name  string
		order fields
		want  []media.Subject
	}{
		{"paid", course(fields{"status": "paid"}), []media.Subject{c(1)}},
		{"Paid", course(fields{"status": " Paid "}), []media.Subject{c(1)}},
		{"completed", course(fields{"status": "completed"}), []media.Subject{c(1)}},
		{"complete", course(fields{"status": "complete"}), []media.Subject{c(1)}},
		{"fulfilled", course(fields{"status": "fulfilled"}), []media.Subject{c(1)}},
		{"delivered", course(fields{"status": "delivered"}), []media.Subject{c(1)}},
		{"shipped", course(fields{"status": "shipped"}), []media.Subject{c(1)}},
		{"active", course(fields{"status": "active"}), []media.Subject{c(1)}},
		{"isPaid", course(fields{"isPaid": true}), []media.Subject{c(1)}},
		{"paid: true", course(fields{"paid": true, "status": "processing"}), []media.Subject{c(1)}},
		{"by its payment", course(fields{"status": "processing", "paymentStatus": "paid"}), []media.Subject{c(1)}},
		{"by its orderStatus", course(fields{"orderStatus": "Delivered"}), []media.Subject{c(1)}},
		{"nothing said", course(fields{}), nil},
		{"isPaid as a text", course(fields{"isPaid": "true"}), nil},
		{"isPaid false", course(fields{"isPaid": false}), nil},
		{"pending", course(fields{"status": "pending"}), nil},
		{"pending though paid", course(fields{"status": "pending", "isPaid": true}), nil},
		{"cancelled", course(fields{"status": "cancelled", "isPaid": true}), nil},
		{"canceled", course(fields{"status": "Canceled", "isPaid": true}), nil},
		{"refunded", course(fields{"status": "refunded", "isPaid": true}), nil},
		{"refunded in part", course(fields{"status": "partially_refunded", "isPaid": true}), nil},
		{"payment refunded", course(fields{"status": "delivered", "paymentStatus": "refunded"}), nil},
		{"failed", course(fields{"status": "failed", "isPaid": true}), nil},
		{"refundedAt", course(fields{"status": "paid", "refundedAt": "2026-01-01T00:00:00Z"}), nil},
		{"refundedAt null", course(fields{"status": "paid", "refundedAt": nil}), []media.Subject{c(1)}},
		{"isRefunded false", course(fields{"status": "paid", "isRefunded": false}), []media.Subject{c(1)}},
		{"isCancelled", course(fields{"status": "paid", "isCancelled": true}), nil},
		{"cancelledAt", course(fields{"status": "paid", "cancelledAt": "x"}), nil},

		{"courseId", fields{"isPaid": true, "courseId": id(1)}, []media.Subject{c(1)}},
		{"course", fields{"isPaid": true, "course": id(1)}, []media.Subject{c(1)}},
		{"course, whole", fields{"isPaid": true, "course": fields{"_id": id(1), "title": "x"}}, []media.Subject{c(1)}},
		{"course by id", fields{"isPaid": true, "course": fields{"id": id(1)}}, []media.Subject{c(1)}},
		{"productId and product", fields{"isPaid": true, "productId": id(1), "product": fields{"_id": id(2)}}, []media.Subject{p(1), p(2)}},
		{"items", fields{"isPaid": true, "items": []any{fields{"courseId": id(1)}, fields{"product": id(2), "qty": int64(1)}}}, []media.Subject{c(1), p(2)}},
		{"orderItems", fields{"isPaid": true, "orderItems": []any{fields{"_id": id(9), "product": fields{"_id": id(2)}}}}, []media.Subject{p(2)}},
		{"lineItems", fields{"isPaid": true, "lineItems": []any{fields{"productId": id(2)}}}, []media.Subject{p(2)}},
		{"products as ids", fields{"isPaid": true, "products": []any{id(1), id(2)}}, []media.Subject{p(1), p(2)}},
		{"courses as ids", fields{"isPaid": true, "courses": []any{id(1)}}, []media.Subject{c(1)}},
		{"products with a product", fields{"isPaid": true, "products": []any{fields{"_id": id(9), "product": id(1)}}}, []media.Subject{p(1)}},
		{"products, whole", fields{"isPaid": true, "products": []any{fields{"_id": id(1), "name": "x"}}}, []media.Subject{p(1)}},
		{"courses, whole", fields{"isPaid": true, "courses": []any{fields{"id": id(1)}}}, []media.Subject{c(1)}},
		{"a course among products", fields{"isPaid": true, "products": []any{fields{"courseId": id(1)}}}, []media.Subject{c(1)}},
		{"one item of two refunded", fields{"isPaid": true, "items": []any{fields{"courseId": id(1), "status": "Refunded"}, fields{"courseId": id(2)}}}, []media.Subject{c(2)}},
		{"items that were taken back", fields{"isPaid": true, "items": []any{
			fields{"courseId": id(1), "refundedAt": "x"}, fields{"courseId": id(2), "cancelled": true}, fields{"courseId": id(3), "refunded": false, "status": "shipped"},
		}}, []media.Subject{c(3)}},
		{"an id in capitals", fields{"isPaid": true, "courseId": "65A000000000000000000001"}, []media.Subject{c(1)}},
		{"items as ids name no type", fields{"isPaid": true, "items": []any{id(1)}}, nil},
		{"items with an id of their own only", fields{"isPaid": true, "items": []any{fields{"_id": id(1)}}}, nil},
		{"what is no id", fields{"isPaid": true, "courseId": "intro", "productId": int64(7), "items": "x", "products": []any{nil, true, fields{}}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tc.want, entities.Grants(tc.order)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestOnlyTheUsersOwnOrdersGrant(t *testing.T) {
	t.Parallel()
	mine := fields{"user": "u", "isPaid": true, "courseId": "65a000000000000000000001"}
	theirs := fields{"user": []any{"u", "v"}, "isPaid": true, "courseId": "65a000000000000000000002"}
	r := records(t, answering{found: []entities.Document{{Fields: mine}, {Fields: theirs}, {Fields: mine}}}, entities.Options{})
	got, err := r.Granted(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]media.Subject{{Type: media.Course, ID: "65a000000000000000000001"}}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	none := records(t, untouchable{t: t}, entities.Options{})
	if ok, err := none.Entitled(t.Context(), "", []media.Subject{product(hex)}); ok || err != nil {
		t.Errorf("of nobody: got %v, %v", ok, err)
	}
	if ok, err := none.Entitled(t.Context(), "u", nil); ok || err != nil {
		t.Errorf("to nothing: got %v, %v", ok, err)
	}
}
