package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sluice/internal/demo"
)

// demoProduct is a product with its images, as --json tells it.
type demoProduct struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Published bool        `json:"published"`
	Images    []demoPlace `json:"images"`
}

// demoLinks are full URLs to begin with.
type demoLinks struct {
	Products string `json:"products"`
	Course   string `json:"course"`
	Intro    string `json:"intro"`  // public
	Lesson   string `json:"lesson"` // signed, for an hour
	Docs     string `json:"docs"`
}

// demoResult is what a demo came to.
type demoResult struct {
	Set      int           `json:"set"`
	Films    string        `json:"films,omitempty"` // ffmpeg or embedded; "": none was made in this run
	Why      string        `json:"filmsBecause,omitempty"`
	Products []demoProduct `json:"products"`
	Course   struct {
		ID      string     `json:"id"`
		Title   string     `json:"title"`
		Modules []demoPart `json:"modules"`
	} `json:"course"`
	Videos    []demoPlace `json:"videos"`
	Resources []demoPlace `json:"resources"`
	UserID    string      `json:"userId"`
	OrderID   string      `json:"orderId"`
	Links     demoLinks   `json:"links"`
}

// result reads what there is now.
func (b *demoBuild) result(ctx context.Context) (demoResult, error) {
	out := demoResult{Set: b.set, UserID: demoRecordID(b.set, "user"), OrderID: demoRecordID(b.set, "order")}
	if b.filmed {
		out.Films, out.Why = b.studio.Words()
	}
	for _, p := range b.plan.Products {
		var view struct {
			Product demoProduct `json:"product"`
			Images  []demoPlace `json:"images"`
		}
		if _, err := b.cl.call(ctx, http.MethodGet, "api/products/"+b.have.products[p.Slug], nil, &view, nil); err != nil {
			return out, err
		}
		for i := range view.Images {
			view.Images[i].ImageURL = b.absolute(view.Images[i].ImageURL)
		}
		view.Product.Images = view.Images
		out.Products = append(out.Products, view.Product)
	}
	b.course = demoCourse{} // what is read is added to what is there
	if err := b.readCourse(ctx, b.have.courses[b.plan.Course.Slug]); err != nil {
		return out, err
	}
	out.Course.ID, out.Course.Title, out.Course.Modules = b.course.Course.ID, b.course.Course.Title, b.course.Course.Modules
	out.Videos, out.Resources = b.course.videos(), b.course.Resources
	for i := range out.Videos {
		out.Videos[i].VideoURL = b.absolute(out.Videos[i].VideoURL)
	}
	for i := range out.Resources {
		out.Resources[i].ResourceURL = b.absolute(out.Resources[i].ResourceURL)
	}
	out.Links = demoLinks{Products: b.absolute("api/products"), Course: b.absolute("api/courses/" + out.Course.ID), Docs: b.absolute("api/docs")}
	return out, b.link(ctx, &out)
}

// link finds the intro, and signs a lesson.
func (b *demoBuild) link(ctx context.Context, out *demoResult) error {
	lesson := ""
	for _, v := range out.Videos {
		switch {
		case v.VideoType == "intro" && out.Links.Intro == "":
			out.Links.Intro = v.VideoURL
		case v.VideoType == "lesson" && lesson == "":
			lesson = v.MediaID
		}
	}
	if lesson == "" {
		return nil
	}
	var signed struct {
		URL string `json:"url"`
	}
	if _, err := b.cl.call(ctx, http.MethodPost, mediaPath(lesson)+"/links", map[string]any{"expiresIn": 3600}, &signed, nil); err != nil {
		return err
	}
	out.Links.Lesson = b.absolute(signed.URL)
	return nil
}

// demoGone counts what was deleted.
type demoGone struct {
	Products int `json:"products"`
	Courses  int `json:"courses"`
	Records  int `json:"records"`
	Media    int `json:"media"`
}

// remove deletes every demo: first the orders, so that what is left of a removal that was cut off is a demo that is not complete, then what
// carries its mark, then its files that hang on nothing, here and in the trash.
func (d *demoSite) remove(ctx context.Context, found demoFound) (gone demoGone, err error) {
	for set := 1; set <= max(found.last(), 1); set++ {
		for _, path := range []string{d.orderPath(set), d.userPath(set)} {
			if err := d.drop(ctx, path, &gone.Records); err != nil {
				return gone, err
			}
		}
	}
	for _, set := range found.sets {
		for _, id := range set.products {
			if err := d.drop(ctx, "api/products/"+id+"?purge=true", &gone.Products); err != nil {
				return gone, err
			}
		}
		for _, id := range set.courses {
			if err := d.drop(ctx, "api/courses/"+id+"?purge=true", &gone.Courses); err != nil {
				return gone, err
			}
		}
	}
	for _, filter := range []url.Values{{"kind": {"media"}}, {"state": {"uploading"}}} {
		loose, err := d.loose(ctx, filter)
		if err != nil {
			return gone, err
		}
		for _, m := range loose {
			if err := d.drop(ctx, mediaPath(m.ID), &gone.Media); err != nil {
				return gone, err
			}
		}
	}
	return gone, d.emptyTrash(ctx, &gone.Media)
}

// emptyTrash drops files of the demo that somebody has deleted.
func (d *demoSite) emptyTrash(ctx context.Context, gone *int) error {
	var ids []string
	err := d.pages(ctx, "api/trash", url.Values{}, func(raw json.RawMessage) error {
		var m demoMedia
		if err := json.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("read the trash: %w", err)
		}
		if strings.HasPrefix(m.Filename, demo.Prefix) {
			ids = append(ids, m.ID)
		}
		return nil
	}, never)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := d.drop(ctx, "api/trash/"+id, gone); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes one thing, and counts it unless it was gone.
func (d *demoSite) drop(ctx context.Context, path string, gone *int) error {
	_, err := d.cl.call(ctx, http.MethodDelete, path, nil, nil, http.Header{"If-Match": {"*"}})
	switch {
	case err == nil:
		*gone++
		d.show.did("deleted %s", path)
	case statusOf(err) == http.StatusNotFound:
	default:
		return err
	}
	return nil
}
