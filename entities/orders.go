package entities

import (
	"context"
	"slices"
	"strings"

	"sluice/media"
)

// maxOrders is how many of a user's orders are looked at, the newest.
const maxOrders = 1000

// Granted gives the products and courses that a user's orders grant, by the newest 1,000.
func (r *Records) Granted(ctx context.Context, user string) ([]media.Subject, error) {
	if user == "" {
		return nil, nil
	}
	if err := checkText("user", user); err != nil {
		return nil, err
	}
	orders, err := r.driver.Find(ctx, Query{Type: media.Order, Owner: user, Limit: maxOrders, Members: orderMembers()})
	if err != nil {
		return nil, wrap("read the orders of a user", err)
	}
	var granted []media.Subject
	seen := map[media.Subject]bool{}
	for _, o := range orders {
		if OwnerOf(media.Order, o) != user {
			continue
		}
		for _, s := range Grants(o.Fields) {
			if !seen[s] {
				seen[s] = true
				granted = append(granted, s)
			}
		}
	}
	return granted, nil
}

// Entitled reports whether an order gives a user one of these entities; a lesson comes with its course.
func (r *Records) Entitled(ctx context.Context, user string, subjects []media.Subject) (bool, error) {
	if user == "" || len(subjects) == 0 {
		return false, nil
	}
	granted, err := r.Granted(ctx, user)
	if err != nil || len(granted) == 0 {
		return false, err
	}
	for _, s := range subjects {
		if slices.Contains(granted, s) {
			return true, nil
		}
	}
	for _, s := range subjects {
		if s.Type != media.Lesson || !media.ValidEntityID(s.ID) {
			continue
		}
		course, err := r.courseOf(ctx, s)
		if err != nil && media.KindOf(err) != media.NotFound {
			return false, err
		}
		if err == nil && slices.Contains(granted, course.Subject) {
			return true, nil
		}
	}
	return false, nil
}

// The members of an order that are looked at.
func orderMembers() []string {
	return slices.Concat(OwnerFields(media.Order), states(), flags(), ends(), lists(), named(media.Course), named(media.Product))
}

func states() []string { return []string{"status", "orderStatus", "paymentStatus"} }
func flags() []string  { return []string{"isPaid", "paid"} }

// ends are members that take back what an order granted, by being there and neither null nor false.
func ends() []string {
	return []string{"refundedAt", "cancelledAt", "canceledAt", "isRefunded", "refunded", "isCancelled", "isCanceled", "cancelled", "canceled"}
}
func lists() []string { return []string{"items", "orderItems", "lineItems", "products", "courses"} }

// named are the members that name one entity of a type.
func named(t media.SubjectType) []string {
	if t == media.Course {
		return []string{"courseId", "course"}
	}
	return []string{"productId", "product"}
}

// Grants gives what an order grants: nothing unless it is paid for and stands.
func Grants(order map[string]any) []media.Subject {
	if !stands(order) {
		return nil
	}
	granted := entries(order)
	for _, k := range lists() {
		list, _ := order[k].([]any)
		for _, e := range list {
			granted = append(granted, entry(e, k)...)
		}
	}
	return granted
}

// stands reports whether an order is paid and not taken back.
func stands(order map[string]any) bool {
	if takenBack(order) {
		return false
	}
	paid := false
	for _, k := range flags() {
		paid = paid || order[k] == true
	}
	for _, k := range states() {
		s, _ := order[k].(string)
		s = strings.ToLower(strings.TrimSpace(s))
		switch s {
		case "paid", "completed", "complete", "fulfilled", "delivered", "shipped", "active":
			paid = true
		case "pending", "failed", "expired", "declined", "rejected", "unpaid", "voided", "chargeback":
			return false
		}
	}
	return paid
}

// takenBack reports whether an order, or one item of it, was refunded or cancelled.
func takenBack(m map[string]any) bool {
	for _, k := range ends() {
		if v := m[k]; v != nil && v != false && v != "" {
			return true
		}
	}
	for _, k := range states() {
		s, _ := m[k].(string)
		if s = strings.ToLower(s); strings.Contains(s, "refund") || strings.Contains(s, "cancel") {
			return true
		}
	}
	return false
}

// entry gives what one entry of a list names: itself, in lists of products and courses, or by its members.
func entry(v any, list string) []media.Subject {
	t := media.SubjectType("")
	switch list {
	case "products":
		t = media.Product
	case "courses":
		t = media.Course
	}
	m, ok := v.(map[string]any)
	if !ok {
		return subject(t, v)
	}
	if takenBack(m) {
		return nil
	}
	if found := entries(m); len(found) > 0 {
		return found
	}
	return subject(t, m)
}

// entries gives what the members of an object name.
func entries(m map[string]any) []media.Subject {
	var found []media.Subject
	for _, t := range []media.SubjectType{media.Course, media.Product} {
		for _, k := range named(t) {
			found = append(found, subject(t, m[k])...)
		}
	}
	return found
}

// subject is the entity of a type that a value names by an id.
func subject(t media.SubjectType, v any) []media.Subject {
	id := strings.ToLower(idOf(v))
	if t == "" || !media.ValidEntityID(id) {
		return nil
	}
	return []media.Subject{{Type: t, ID: id}}
}
