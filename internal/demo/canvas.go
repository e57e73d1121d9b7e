package demo

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// canvas is a picture that shapes are painted on, one over the other, with smooth edges.
type canvas struct{ img *image.RGBA }

func newCanvas(w, h int) *canvas { return &canvas{image.NewRGBA(image.Rect(0, 0, w, h))} }

// pen draws closed outlines.
type pen interface {
	MoveTo(x, y float32)
	LineTo(x, y float32)
	QuadTo(bx, by, cx, cy float32)
	CubeTo(bx, by, cx, cy, dx, dy float32)
	ClosePath()
}

// shape draws one outline, or several that belong together.
type shape func(pen)

// fill paints shapes, each on its own: outlines of different direction would cancel each other where they overlap. Only the part of the
// canvas that a shape is on is looked at.
func (c *canvas) fill(paint image.Image, shapes ...shape) {
	for _, s := range shapes {
		var size extent
		s(&size)
		at := size.within(c.img.Bounds())
		if at.Empty() {
			continue
		}
		r := vector.NewRasterizer(at.Dx(), at.Dy())
		s(&moved{r, float32(at.Min.X), float32(at.Min.Y)})
		r.Draw(c.img, at, paint, at.Min)
	}
}

// extent is a pen that only notes how far a shape reaches.
type extent struct {
	some                   bool
	left, top, right, foot float32
}

func (e *extent) note(x, y float32) {
	if !e.some {
		*e = extent{true, x, y, x, y}
	}
	e.left, e.right, e.top, e.foot = min(e.left, x), max(e.right, x), min(e.top, y), max(e.foot, y)
}

func (e *extent) within(b image.Rectangle) image.Rectangle {
	return image.Rect(int(e.left)-1, int(e.top)-1, int(e.right)+2, int(e.foot)+2).Intersect(b)
}

func (e *extent) MoveTo(x, y float32)           { e.note(x, y) }
func (e *extent) LineTo(x, y float32)           { e.note(x, y) }
func (e *extent) QuadTo(bx, by, cx, cy float32) { e.note(bx, by); e.note(cx, cy) }
func (e *extent) CubeTo(bx, by, cx, cy, dx, dy float32) {
	e.note(bx, by)
	e.note(cx, cy)
	e.note(dx, dy)
}
func (*extent) ClosePath() {}

// moved is a pen on paper whose corner is not that of the canvas.
type moved struct {
	pen
	x, y float32
}

func (m *moved) MoveTo(x, y float32)           { m.pen.MoveTo(x-m.x, y-m.y) }
func (m *moved) LineTo(x, y float32)           { m.pen.LineTo(x-m.x, y-m.y) }
func (m *moved) QuadTo(bx, by, cx, cy float32) { m.pen.QuadTo(bx-m.x, by-m.y, cx-m.x, cy-m.y) }
func (m *moved) CubeTo(bx, by, cx, cy, dx, dy float32) {
	m.pen.CubeTo(bx-m.x, by-m.y, cx-m.x, cy-m.y, dx-m.x, dy-m.y)
}

// wash paints everything.
func (c *canvas) wash(paint image.Image) {
	draw.Draw(c.img, c.img.Bounds(), paint, image.Point{}, draw.Over)
}

// text writes a line with its left end at x and its foot at y.
func (c *canvas) text(face font.Face, paint image.Image, x, y int, line string) {
	d := font.Drawer{Dst: c.img, Src: paint, Face: face, Dot: fixed.P(x, y)}
	d.DrawString(line)
}

func (c *canvas) jpeg() ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, c.img, &jpeg.Options{Quality: 88}); err != nil {
		return nil, fmt.Errorf("write a JPEG: %w", err)
	}
	return b.Bytes(), nil
}

func (c *canvas) png() ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, c.img); err != nil {
		return nil, fmt.Errorf("write a PNG: %w", err)
	}
	return b.Bytes(), nil
}

// typeface makes a face of a font's file, size in pixels.
func typeface(ttf []byte, size float64) (font.Face, error) {
	f, err := opentype.Parse(ttf)
	if err != nil {
		return nil, fmt.Errorf("read a font: %w", err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		return nil, fmt.Errorf("size a font: %w", err)
	}
	return face, nil
}

// rgb reads 0xRRGGBB.
func rgb(hex uint32) color.RGBA {
	return color.RGBA{uint8(hex >> 16), uint8(hex >> 8 & 255), uint8(hex & 255), 255} //nolint:gosec // the bytes of it
}

// plain is one colour.
func plain(hex uint32) image.Image { return image.NewUniform(rgb(hex)) }

// sheer is one colour that lets through what is below, alpha from 0 to 1.
func sheer(hex uint32, alpha float64) image.Image { return image.NewUniform(thinned(rgb(hex), alpha)) }

// thinned is a colour with its alpha, multiplied into it as image/color wants it.
func thinned(c color.RGBA, alpha float64) color.RGBA {
	part := func(v uint8) uint8 { return uint8(math.Round(float64(v) * alpha)) }
	return color.RGBA{part(c.R), part(c.G), part(c.B), part(255)}
}

// mixed is a colour between two, at from 0 to 1.
func mixed(a, b color.RGBA, at float64) color.RGBA {
	at = min(max(at, 0), 1)
	part := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + (float64(b)-float64(a))*at)) }
	return color.RGBA{part(a.R, b.R), part(a.G, b.G), part(a.B, b.B), part(a.A, b.A)}
}

// painted is a picture without end, given by a colour for each point.
type painted func(x, y int) color.RGBA

// ColorModel is that of RGBA.
func (painted) ColorModel() color.Model { return color.RGBAModel }

// Bounds are beyond every canvas.
func (painted) Bounds() image.Rectangle { return image.Rect(-1e6, -1e6, 1e6, 1e6) }

// At gives the colour of a point.
func (p painted) At(x, y int) color.Color { return p(x, y) }

// down goes from one colour to another between two heights, across between two columns.
func down(from, to uint32, y0, y1 int) image.Image {
	return painted(func(_, y int) color.RGBA { return mixed(rgb(from), rgb(to), float64(y-y0)/float64(y1-y0)) })
}

func across(from, to uint32, x0, x1 int) image.Image {
	return painted(func(x, _ int) color.RGBA { return mixed(rgb(from), rgb(to), float64(x-x0)/float64(x1-x0)) })
}

// glow is light around a point, strongest in the middle, gone at radius.
func glow(hex uint32, x, y, radius, strength float64) image.Image {
	return painted(func(px, py int) color.RGBA {
		d := math.Hypot(float64(px)-x, float64(py)-y) / radius
		if d >= 1 {
			return color.RGBA{}
		}
		return thinned(rgb(hex), strength*(1-d)*(1-d))
	})
}

// pool is darkness on an ellipse, strongest in the middle, gone at its edge.
func pool(x, y, rx, ry, strength float64) image.Image {
	return painted(func(px, py int) color.RGBA {
		d := math.Hypot((float64(px)-x)/rx, (float64(py)-y)/ry)
		return thinned(rgb(0), strength*max(0, 1-d))
	})
}

// ellipse goes clockwise.
func ellipse(x, y, rx, ry float32) shape {
	return func(p pen) { oval(p, x, y, rx, ry) }
}

// ring is an ellipse without an inner one, which goes the other way round.
func ring(x, y, rx, ry, width float32) shape {
	return func(p pen) {
		oval(p, x, y, rx, ry)
		oval(p, x, y, -(rx - width), ry-width)
	}
}

func oval(p pen, x, y, rx, ry float32) {
	const k = 0.5522848 // a quarter of a circle as a cubic
	p.MoveTo(x+rx, y)
	p.CubeTo(x+rx, y+k*ry, x+k*rx, y+ry, x, y+ry)
	p.CubeTo(x-k*rx, y+ry, x-rx, y+k*ry, x-rx, y)
	p.CubeTo(x-rx, y-k*ry, x-k*rx, y-ry, x, y-ry)
	p.CubeTo(x+k*rx, y-ry, x+rx, y-k*ry, x+rx, y)
	p.ClosePath()
}

// box has round corners.
func box(x, y, w, h, corner float32) shape {
	return func(p pen) {
		p.MoveTo(x+corner, y)
		p.LineTo(x+w-corner, y)
		p.QuadTo(x+w, y, x+w, y+corner)
		p.LineTo(x+w, y+h-corner)
		p.QuadTo(x+w, y+h, x+w-corner, y+h)
		p.LineTo(x+corner, y+h)
		p.QuadTo(x, y+h, x, y+h-corner)
		p.LineTo(x, y+corner)
		p.QuadTo(x, y, x+corner, y)
		p.ClosePath()
	}
}

// point is a place on a canvas.
type point struct{ x, y float32 }

func polygon(points ...point) shape {
	return func(p pen) {
		p.MoveTo(points[0].x, points[0].y)
		for _, to := range points[1:] {
			p.LineTo(to.x, to.y)
		}
		p.ClosePath()
	}
}

// bar is a straight line with a width.
func bar(from, to point, width float32) shape { return ribbon(width, from, to) }

// ribbon is a line with a width through points.
func ribbon(width float32, points ...point) shape {
	outline := make([]point, 2*len(points))
	for i, p := range points {
		before, after := points[max(i-1, 0)], points[min(i+1, len(points)-1)]
		dx, dy := float64(after.x-before.x), float64(after.y-before.y)
		l := math.Hypot(dx, dy)
		ox, oy := float32(-dy/l)*width/2, float32(dx/l)*width/2
		outline[i] = point{p.x + ox, p.y + oy}
		outline[len(outline)-1-i] = point{p.x - ox, p.y - oy}
	}
	return polygon(outline...)
}

// curve gives points of a function of x.
func curve(from, to, step float32, y func(x float32) float32) []point {
	var points []point
	for x := from; x <= to; x += step {
		points = append(points, point{x, y(x)})
	}
	return points
}

func sine(x float32) float32 { return float32(math.Sin(float64(x))) }
