package demo

import "context"

// Version changes when the plan does, so that what an older one began is not taken for this one's.
const Version = 1

// Prefix is how the names of all files of the demo begin.
const Prefix = "sluice-demo-"

// Plan is what the demo is made of.
type Plan struct {
	Products []Product
	Course   Course
	Student  Student
}

// Files are all files of the plan, in the order they stand in.
func (p Plan) Files() []*File {
	var all []*File
	seen := map[*File]bool{}
	add := func(f *File) {
		if f != nil && !seen[f] {
			seen[f] = true
			all = append(all, f)
		}
	}
	for _, product := range p.Products {
		for _, i := range product.Images {
			add(i.File)
		}
	}
	for _, v := range p.Course.Videos {
		add(v.File)
	}
	for _, r := range p.Course.Resources {
		add(r.File)
	}
	return all
}

// File is media to be uploaded once, wherever it stands.
type File struct {
	Name   string // begins with Prefix
	Title  string
	Public bool

	make func(context.Context, *Studio) ([]byte, error)
}

// Make gives the bytes. Films take seconds, all else milliseconds.
func (f *File) Make(ctx context.Context, s *Studio) ([]byte, error) { return f.make(ctx, s) }

// Product is a product with its images, the main one first.
type Product struct {
	Slug                               string
	Name, Category, Description, Brand string
	Price                              float64
	Stock                              int64
	Draft                              bool // not published
	Images                             []Image
}

// Image is a picture of a product: a file, or what others keep.
type Image struct {
	File       *File
	URL, Title string // when there is no File
	Alt        string
}

// Course is a course with what hangs on it.
type Course struct {
	Slug                         string
	Title, Category, Description string
	Price                        float64
	Modules                      []Module
	Videos                       []Video
	Resources                    []Resource
}

// Module is a part of a course.
type Module struct {
	Title   string
	Lessons []string // titles
}

// Spot is where in a course something stands: module and lesson of that module, counted from 1; 0 is none.
type Spot struct{ Module, Lesson int }

// Video is a film in a course.
type Video struct {
	File *File
	Type string // intro, module or lesson
	Spot
	Position int
}

// Resource is a paper in a course.
type Resource struct {
	File       *File
	Name, Type string
	Spot
	Position int
}

// Student has bought the course.
type Student struct{ Name, Email string }

// New is the plan.
func New() Plan {
	return Plan{Products: products(), Course: course(), Student: Student{"Sam Student", "sam@example.com"}}
}

func picture(name, title string, draw func() *canvas, encode func(*canvas) ([]byte, error), ending string) *File {
	return &File{
		Name: Prefix + name + ending, Title: title, Public: true,
		make: func(context.Context, *Studio) ([]byte, error) { return encode(draw()) },
	}
}

func photo(name, title string, draw func() *canvas) *File {
	return picture(name, title, draw, (*canvas).jpeg, ".jpg")
}

func drawing(name, title string, draw func() *canvas) *File {
	return picture(name, title, draw, (*canvas).png, ".png")
}

func products() []Product {
	return []Product{
		{
			Slug: "lamp", Name: "Desk lamp Sluice", Category: "lighting", Brand: "Weir & Sons", Price: 89, Stock: 14,
			Description: "Two arms, three joints, one warm light. Stands by itself wherever you put it.",
			Images: []Image{
				{File: photo("lamp-off", "Desk lamp", func() *canvas { return lamp(false) }), Alt: "A green desk lamp with two arms on a wooden table"},
				{File: photo("lamp-lit", "Desk lamp, switched on", func() *canvas { return lamp(true) }), Alt: "The same lamp at night, its light on the table"},
				{URL: "https://example.com/images/lamp-in-a-room.jpg", Title: "Desk lamp in a room", Alt: "The lamp in a living room; this one is kept elsewhere"},
			},
		},
		{
			Slug: "backpack", Name: "Backpack Headwater 32", Category: "outdoor", Brand: "Headwater", Price: 129.5, Stock: 6,
			Description: "Thirty-two litres, two straps in front, a pocket for what is needed first.",
			Images: []Image{
				{File: photo("backpack-moss", "Backpack, moss", func() *canvas { return backpack(0x7E9A68, 0x46603B, 0x3B2F28) }), Alt: "A moss green backpack before mountains"},
				{File: photo("backpack-clay", "Backpack, clay", func() *canvas { return backpack(0xD9795B, 0x9A4630, 0x3B2F28) }), Alt: "The same backpack in clay red"},
				{File: photo("backpack-night", "Backpack, night", func() *canvas { return backpack(0x56719A, 0x263B5E, 0x22262C) }), Alt: "The same backpack in night blue"},
			},
		},
		{
			Slug: "mug", Name: "Stoneware mug Basin", Category: "kitchen", Brand: "Basin", Price: 24, Stock: 120,
			Description: "Holds 0.4 litres and its warmth.\nFit for the dishwasher.",
			Images: []Image{
				{File: drawing("mug-ink", "Mug, ink glaze", func() *canvas { return mug(0x4C6A8A, 0x25384E, true) }), Alt: "A dark blue mug of steaming tea on a saucer"},
				{File: drawing("mug-sand", "Mug, sand glaze", func() *canvas { return mug(0xE3CBA6, 0xA98458, false) }), Alt: "The same mug in sand, empty"},
			},
		},
		{
			Slug: "notebook", Name: "Dotted notebook Ledger", Category: "stationery", Brand: "Weir & Sons", Price: 16.9, Stock: 0, Draft: true,
			Description: "Not on sale yet: a draft shows to its owner and to admins only.",
			Images: []Image{
				{File: drawing("notebook-closed", "Notebook", func() *canvas { return notebook(false) }), Alt: "A blue notebook with a red band, and a pencil"},
				{File: drawing("notebook-open", "Notebook, open", func() *canvas { return notebook(true) }), Alt: "The open notebook: dotted pages with a curve and a circle"},
			},
		},
	}
}

// reel is all films.
func reel() []film {
	return []film{
		{"intro", "Intro", "What you will see", 0x3FA7C9, 0x12455E, 392, 6},
		{"module-1", "Module 1", "Media go in", 0x4DB08B, 0x14503F, 262, 5},
		{"lesson-1-1", "Lesson 1.1", "Upload anything", 0x5FB878, 0x1B5136, 294, 6},
		{"lesson-1-2", "Lesson 1.2", "Cut, and go on", 0x7FB857, 0x31531D, 330, 8},
		{"lesson-2-1", "Lesson 2.1", "Links that play", 0xD98A4B, 0x6A3415, 349, 6},
		{"lesson-2-2", "Lesson 2.2", "Who may see what", 0xC96A7B, 0x5C1F36, 440, 7},
	}
}

// shown are the films by name, as files.
func shown() map[string]*File {
	files := map[string]*File{}
	for _, f := range reel() {
		files[f.name] = &File{
			Name: Prefix + f.name + ".mp4", Title: f.label + ": " + f.title, Public: f.name == "intro",
			make: func(ctx context.Context, s *Studio) ([]byte, error) { return s.shoot(ctx, f) },
		}
	}
	return files
}

func course() Course {
	films := shown()
	paper := func(name, title string, public bool, text []byte) *File {
		return &File{
			Name: Prefix + name, Title: title, Public: public,
			make: func(context.Context, *Studio) ([]byte, error) { return text, nil },
		}
	}
	return Course{
		Slug: "course", Title: "Sluice in ten minutes", Category: "tools", Price: 49,
		Description: "From the first upload to a link that only the right people can play.\nThe intro is for everybody; the lessons are for who bought the course.",
		Modules: []Module{
			{"Media go in", []string{"Upload anything", "Cut, and go on"}},
			{"Media go out", []string{"Links that play", "Who may see what"}},
		},
		Videos: []Video{
			{films["intro"], "intro", Spot{}, 0},
			{films["module-1"], "module", Spot{1, 0}, 1},
			{films["lesson-1-1"], "lesson", Spot{1, 1}, 2},
			{films["lesson-1-2"], "lesson", Spot{1, 2}, 3},
			{films["lesson-2-1"], "lesson", Spot{2, 1}, 4},
			{films["lesson-2-2"], "lesson", Spot{2, 2}, 5},
			// The same media once more: what was seen before, as a reminder.
			{films["lesson-1-2"], "lesson", Spot{2, 1}, 6},
		},
		Resources: []Resource{
			{paper("cheat-sheet.pdf", "Cheat sheet", false, cheatSheet()), "Cheat sheet", "pdf", Spot{}, 0},
			{paper("upload.sh", "upload.sh", true, []byte(script)), "upload.sh: an upload with curl alone", "code", Spot{1, 1}, 1},
		},
	}
}
