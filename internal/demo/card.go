package demo

import (
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

// Title cards of films, 640 by 360.
const (
	cardWidth  = 640
	cardHeight = 360
)

// card shows what a film is about, over water of its colour.
func card(label, title string, light, dark uint32) (*canvas, error) {
	small, err := typeface(goregular.TTF, 24)
	if err != nil {
		return nil, err
	}
	large, err := typeface(gobold.TTF, 44)
	if err != nil {
		return nil, err
	}
	c := newCanvas(cardWidth, cardHeight)
	c.wash(down(dark, light, 0, cardHeight))
	c.wash(glow(0xFFFFFF, 520, 60, 300, 0.22))
	for i := range 3 {
		top, phase := 262+float32(i)*26, float32(i)*1.9
		water := curve(0, cardWidth+8, 8, func(x float32) float32 { return top + 12*sine(x/58+phase) })
		water = append(water, point{cardWidth + 8, cardHeight}, point{0, cardHeight})
		c.fill(sheer(0xFFFFFF, 0.14), polygon(water...))
	}
	c.fill(plain(0xFFFFFF), box(40, 92, 8, 112, 4))
	c.text(small, sheer(0xFFFFFF, 0.85), 66, 114, label)
	c.text(large, plain(0xFFFFFF), 64, 168, title)
	c.text(small, sheer(0xFFFFFF, 0.7), 66, 204, "Sluice in ten minutes")
	return c, nil
}
