package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"sluice/internal/demo"
)

// demoBuild makes what is missing of one set.
type demoBuild struct {
	*demoSite
	set    int
	have   *demoSet
	studio *demo.Studio

	course demoCourse            // as it is
	media  map[*demo.File]string // ids of what is uploaded
	filmed bool                  // a video was made in this run
}

// demoPlace is media in its place, as the demo reads it.
type demoPlace struct {
	ID           string `json:"id"`
	MediaID      string `json:"mediaId"`
	Title        string `json:"title,omitempty"`
	VideoType    string `json:"videoType,omitempty"`
	ResourceName string `json:"resourceName,omitempty"`
	LessonID     string `json:"mongoLessonId,omitempty"`
	ModuleID     string `json:"mongoModuleId,omitempty"`
	ImageURL     string `json:"imageUrl,omitempty"`
	VideoURL     string `json:"videoUrl,omitempty"`
	ResourceURL  string `json:"resourceUrl,omitempty"`
}

// demoPart is a module or a lesson.
type demoPart struct {
	ID      string     `json:"id"`
	Title   string     `json:"title"`
	Lessons []demoPart `json:"lessons,omitempty"`
}

// demoCourse is the answer to a read of the course.
type demoCourse struct {
	Course struct {
		ID      string     `json:"id"`
		Title   string     `json:"title"`
		Modules []demoPart `json:"modules"`
	} `json:"course"`
	Videos struct {
		Intro   []demoPlace `json:"intro"`
		Modules []demoPlace `json:"modules"`
		Lessons []demoPlace `json:"lessons"`
	} `json:"videos"`
	Resources []demoPlace `json:"resources"`
}

func (c demoCourse) videos() []demoPlace {
	return append(append(append([]demoPlace{}, c.Videos.Intro...), c.Videos.Modules...), c.Videos.Lessons...)
}

func (b *demoBuild) run(ctx context.Context) error {
	if id := b.have.courses[b.plan.Course.Slug]; id != "" {
		if err := b.readCourse(ctx, id); err != nil {
			return err
		}
	}
	missing := b.missing()
	b.show.begin(len(missing) + len(b.plan.Products) - len(b.have.products) + 1 + len(b.plan.Course.Videos) + len(b.plan.Course.Resources) + 1)
	if err := b.upload(ctx, missing); err != nil {
		return err
	}
	for _, p := range b.plan.Products {
		if err := b.product(ctx, p); err != nil {
			return err
		}
	}
	if err := b.makeCourse(ctx); err != nil {
		return err
	}
	for _, v := range b.plan.Course.Videos {
		if err := b.video(ctx, v); err != nil {
			return err
		}
	}
	for _, r := range b.plan.Course.Resources {
		if err := b.resource(ctx, r); err != nil {
			return err
		}
	}
	return b.sell(ctx)
}

func (b *demoBuild) readCourse(ctx context.Context, id string) error {
	if _, err := b.cl.call(ctx, http.MethodGet, "api/courses/"+id, nil, &b.course, nil); err != nil {
		return err
	}
	for m, module := range b.plan.Course.Modules {
		if has := b.course.Course.Modules; len(has) <= m || len(has[m].Lessons) < len(module.Lessons) {
			return refuse(nil, "sluice demo --remove deletes it, then make it anew", "the demo's course is not complete, and its modules were changed")
		}
	}
	return nil
}

// spot gives the ids of a module and a lesson.
func (b *demoBuild) spot(s demo.Spot) (module, lesson string) {
	modules := b.course.Course.Modules
	if s.Module > 0 && len(modules) > 0 {
		module = modules[s.Module-1].ID
		if s.Lesson > 0 {
			lesson = modules[s.Module-1].Lessons[s.Lesson-1].ID
		}
	}
	return module, lesson
}

// hangs finds a video where the plan wants it.
func (b *demoBuild) hangs(v demo.Video) bool {
	module, lesson := b.spot(v.Spot)
	for _, pl := range b.course.videos() {
		if pl.Title == v.File.Title && pl.VideoType == v.Type && pl.ModuleID == module && pl.LessonID == lesson {
			return true
		}
	}
	return false
}

func (b *demoBuild) lies(r demo.Resource) bool {
	_, lesson := b.spot(r.Spot)
	for _, pl := range b.course.Resources {
		if pl.ResourceName == r.Name && pl.LessonID == lesson {
			return true
		}
	}
	return false
}

// missing are the files that something is to be made of, and that are not known to be uploaded.
func (b *demoBuild) missing() []*demo.File {
	b.media = map[*demo.File]string{}
	for _, v := range b.plan.Course.Videos { // media that stand in one place may be missing in the other
		for _, pl := range b.course.videos() {
			if pl.Title == v.File.Title {
				b.media[v.File] = pl.MediaID
			}
		}
	}
	wanted := map[*demo.File]bool{}
	for _, p := range b.plan.Products {
		for _, i := range p.Images {
			wanted[i.File] = b.have.products[p.Slug] == ""
		}
	}
	for _, v := range b.plan.Course.Videos {
		wanted[v.File] = wanted[v.File] || !b.hangs(v)
	}
	for _, r := range b.plan.Course.Resources {
		wanted[r.File] = !b.lies(r)
	}
	var files []*demo.File
	for _, f := range b.plan.Files() {
		if wanted[f] && b.media[f] == "" {
			files = append(files, f)
		}
	}
	return files
}

// upload makes files and sends them, but for those that an earlier run has sent.
func (b *demoBuild) upload(ctx context.Context, files []*demo.File) error {
	if len(files) == 0 {
		return nil
	}
	loose, err := b.loose(ctx, url.Values{"kind": {"media"}})
	if err != nil {
		return err
	}
	sent := map[string]string{}
	for _, m := range loose {
		if m.State != "uploading" {
			sent[m.Filename] = m.ID
		}
	}
	for _, f := range files {
		if id := sent[f.Name]; id != "" {
			b.media[f] = id
			b.show.did("%s is here already", f.Name)
			continue
		}
		b.show.doing(f.Name)
		data, err := f.Make(ctx, b.studio)
		if err != nil {
			if ctx.Err() != nil {
				return b.cl.explain(ctx.Err())
			}
			return fmt.Errorf("make %s: %w", f.Name, err)
		}
		b.filmed = b.filmed || typeOf(f.Name) == "video/mp4"
		if b.media[f], err = b.send(ctx, f, data); err != nil {
			return err
		}
		b.show.did("uploaded %s, %s", f.Name, human(int64(len(data))))
	}
	return nil
}

// send uploads one file as sluice upload does, and goes on with what an earlier run on this machine began of it.
func (b *demoBuild) send(ctx context.Context, f *demo.File, data []byte) (string, error) {
	c := &uploadCommand{Title: f.Title, Public: f.Public}
	metadata, err := c.metadata(f.Name)
	if err != nil {
		return "", err
	}
	wait := func(err error, d time.Duration) {
		say(b.s.stderr, "\n%s: %s; trying again in %v\n", f.Name, oneLine(err.Error()), d)
	}
	u := &sender{c: b.cl, file: bytes.NewReader(data), size: int64(len(data)), retries: 10, progress: func(int64) {}, waiting: wait, anew: func() {}}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %s", b.cl.base, metadata, data))
	if _, err := c.transfer(ctx, u, newMemory(b.s), hex.EncodeToString(sum[:16]), metadata); err != nil {
		return "", c.explainUpload(b.cl, f.Name, u.url != "", err)
	}
	if u.id == "" {
		return "", refuse(errors.New("no Sluice-Media-Id"), "is it a Sluice gateway?", "%s does not tell the id of what was uploaded", b.cl.base.Host)
	}
	return u.id, nil
}

// post creates something once: the key follows from all that is said of it. Media get new ids whenever they are uploaded, so what was removed
// meanwhile is made again.
func (b *demoBuild) post(ctx context.Context, path string, in, out any, more ...string) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("write a request: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %s", path, more, body))
	key := fmt.Sprintf("sluice-demo-%d-%s", demo.Version, hex.EncodeToString(sum[:16]))
	_, err = b.cl.call(ctx, http.MethodPost, path, in, out, http.Header{"Idempotency-Key": {key}})
	return err
}

func (b *demoBuild) product(ctx context.Context, p demo.Product) error {
	if b.have.products[p.Slug] != "" {
		return nil
	}
	b.show.doing(p.Name)
	images := make([]map[string]any, len(p.Images))
	for i, image := range p.Images {
		images[i] = map[string]any{"altText": image.Alt, "isMainImage": i == 0, "position": i}
		if image.File != nil {
			images[i]["mediaId"] = b.media[image.File]
		} else {
			images[i]["url"], images[i]["title"], images[i]["isPublic"] = image.URL, image.Title, true
		}
	}
	in := map[string]any{
		"name": p.Name, "price": p.Price, "category": p.Category, "description": p.Description, "brand": p.Brand, "stock": p.Stock,
		"tags": []string{"demo", demoTag(b.set, p.Slug)}, "published": !p.Draft, "images": images,
	}
	var out struct {
		Product struct {
			ID string `json:"id"`
		} `json:"product"`
	}
	if err := b.post(ctx, "api/products", in, &out); err != nil {
		return err
	}
	b.have.products[p.Slug] = out.Product.ID
	b.show.did("made the product %s, %d images", p.Name, len(p.Images))
	return nil
}

func (b *demoBuild) makeCourse(ctx context.Context) error {
	p := b.plan.Course
	if b.have.courses[p.Slug] != "" {
		b.show.did("the course %s is here already", p.Title)
		return nil
	}
	b.show.doing(p.Title)
	modules := make([]map[string]any, len(p.Modules))
	for i, m := range p.Modules {
		lessons := make([]map[string]any, len(m.Lessons))
		for j, title := range m.Lessons {
			lessons[j] = map[string]any{"title": title}
		}
		modules[i] = map[string]any{"title": m.Title, "lessons": lessons}
	}
	in := map[string]any{
		"title": p.Title, "description": p.Description, "category": p.Category, "price": p.Price, "published": true,
		"tags": []string{"demo", demoTag(b.set, p.Slug)}, "modules": modules,
	}
	var made demoCourse
	if err := b.post(ctx, "api/courses", in, &made, b.courseMedia()...); err != nil {
		return err
	}
	b.have.courses[p.Slug] = made.Course.ID
	b.show.did("made the course %s", p.Title)
	return b.readCourse(ctx, made.Course.ID)
}

// courseMedia tells one making of the course from another after it was removed.
func (b *demoBuild) courseMedia() []string {
	var ids []string
	for _, v := range b.plan.Course.Videos {
		ids = append(ids, b.media[v.File])
	}
	return ids
}

func (b *demoBuild) video(ctx context.Context, v demo.Video) error {
	if b.hangs(v) {
		b.show.did("the video %s is here already", v.File.Title)
		return nil
	}
	b.show.doing(v.File.Title)
	module, lesson := b.spot(v.Spot)
	in := map[string]any{"mediaId": b.media[v.File], "videoType": v.Type, "position": v.Position}
	if module != "" {
		in["mongoModuleId"] = module
	}
	if lesson != "" {
		in["mongoLessonId"] = lesson
	}
	if err := b.post(ctx, "api/courses/"+b.course.Course.ID+"/videos", in, nil); err != nil {
		return err
	}
	b.show.did("put the video %q in its place as %s video", v.File.Title, v.Type)
	return nil
}

func (b *demoBuild) resource(ctx context.Context, r demo.Resource) error {
	if b.lies(r) {
		b.show.did("the resource %s is here already", r.Name)
		return nil
	}
	b.show.doing(r.Name)
	in := map[string]any{"mediaId": b.media[r.File], "resourceName": r.Name, "resourceType": r.Type, "position": r.Position}
	if _, lesson := b.spot(r.Spot); lesson != "" {
		in["mongoLessonId"] = lesson
	}
	if err := b.post(ctx, "api/courses/"+b.course.Course.ID+"/resources", in, nil); err != nil {
		return err
	}
	b.show.did("put the resource %q in its place", r.Name)
	return nil
}

// sell writes the student, and the order by which the course is theirs. It comes last: a demo with an order is complete.
func (b *demoBuild) sell(ctx context.Context) error {
	user := map[string]any{"name": b.plan.Student.Name, "email": b.plan.Student.Email, "role": "student"}
	if _, err := b.cl.call(ctx, http.MethodPut, b.userPath(b.set), user, nil, nil); err != nil {
		return err
	}
	price := b.plan.Course.Price
	order := map[string]any{
		"user": demoRecordID(b.set, "user"), "status": "paid", "total": price,
		"items": []map[string]any{{"course": b.course.Course.ID, "title": b.plan.Course.Title, "price": price}},
	}
	if _, err := b.cl.call(ctx, http.MethodPut, b.orderPath(b.set), order, nil, nil); err != nil {
		return err
	}
	b.show.did("sold the course to %s", b.plan.Student.Name)
	return nil
}
