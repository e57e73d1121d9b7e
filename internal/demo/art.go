package demo

// Pictures of products, 800 by 600.
const (
	artWidth  = 800
	artHeight = 600
)

// scene is a wall and a table to put things on.
func scene(wallTop, wallFoot, tableTop, tableFoot uint32) *canvas {
	c := newCanvas(artWidth, artHeight)
	c.wash(down(wallTop, wallFoot, 0, 450))
	c.fill(down(tableTop, tableFoot, 440, artHeight), box(0, 450, artWidth, 150, 0))
	return c
}

// shade is where something stands.
func (c *canvas) shade(x, y, rx float32) {
	rx *= 1.5
	c.fill(pool(float64(x), float64(y), float64(rx), float64(rx)*0.15, 0.7), ellipse(x, y, rx, rx*0.15))
}

// lamp is a desk lamp, switched on or off.
func lamp(lit bool) *canvas {
	c := scene(0xEFE6DA, 0xD9C7B2, 0xA9774E, 0x7E5433)
	steel, shadeLight, shadeDark := uint32(0x3C4450), uint32(0x2F8F83), uint32(0x14584F)
	if lit {
		c = scene(0x1B2440, 0x2E3558, 0x4B3528, 0x2A1D16)
		c.wash(glow(0xFFD27A, 505, 330, 420, 0.55))
		c.fill(sheer(0xFFE3A3, 0.20), polygon(point{455, 232}, point{592, 180}, point{790, 452}, point{395, 452}))
		c.fill(sheer(0xFFDF9E, 0.35), ellipse(590, 452, 205, 26))
		shadeLight = 0x3BA699
	}
	c.shade(270, 502, 120)
	c.fill(across(0x596372, 0x262C35, 170, 380), ellipse(270, 492, 105, 24))
	c.fill(across(0x7C8797, 0x3C4450, 170, 380), ellipse(270, 484, 105, 22))
	for _, arm := range [][2]point{{{270, 480}, {205, 318}}, {{205, 318}, {420, 170}}} {
		c.fill(plain(steel), bar(arm[0], arm[1], 14))
		c.fill(sheer(0xFFFFFF, 0.25), bar(arm[0], arm[1], 4))
	}
	for _, joint := range []point{{205, 318}, {420, 170}, {270, 478}} {
		c.fill(plain(0x20262E), ellipse(joint.x, joint.y, 17, 17))
		c.fill(plain(0xC9A24B), ellipse(joint.x, joint.y, 8, 8))
	}
	if lit {
		c.fill(plain(0xFFF3CF), ellipse(527, 212, 34, 34))
		c.wash(glow(0xFFF0C0, 527, 222, 120, 0.8))
	}
	c.fill(across(shadeLight, shadeDark, 400, 610), polygon(point{412, 130}, point{466, 110}, point{604, 176}, point{446, 238}))
	c.fill(sheer(0xFFFFFF, 0.18), polygon(point{420, 136}, point{440, 128}, point{486, 218}, point{456, 230}))
	return c
}

// backpack stands before mountains.
func backpack(light, dark, strap uint32) *canvas {
	c := newCanvas(artWidth, artHeight)
	c.wash(down(0xBFD9E8, 0xF3EDE2, 0, 470))
	c.wash(glow(0xFFF6DC, 640, 120, 220, 0.9))
	c.fill(plain(0xFFF8E6), ellipse(640, 120, 42, 42))
	c.fill(down(0x9DB4C4, 0xC3D2DA, 170, 470), polygon(point{-20, 470}, point{130, 250}, point{220, 350}, point{360, 180}, point{520, 380}, point{640, 270}, point{820, 470}))
	c.fill(plain(0xFBFBF7), polygon(point{360, 180}, point{318, 238}, point{346, 226}, point{362, 250}, point{386, 230}, point{404, 235}))
	c.fill(down(0x6F8A7C, 0x8BA38F, 330, 480), polygon(point{-20, 480}, point{90, 360}, point{250, 450}, point{420, 370}, point{600, 450}, point{730, 350}, point{820, 420}, point{820, 480}))
	c.fill(down(0xC8B890, 0x9C8A63, 460, artHeight), box(0, 465, artWidth, 140, 0))
	c.shade(400, 545, 160)
	c.fill(plain(strap), ring(400, 120, 46, 42, 14))
	c.fill(plain(strap), box(252, 280, 34, 210, 16), box(514, 280, 34, 210, 16))
	c.fill(across(light, dark, 270, 540), box(272, 118, 256, 426, 84))
	c.fill(sheer(0xFFFFFF, 0.12), box(292, 140, 34, 380, 17))
	c.fill(sheer(0x000000, 0.16), box(272, 292, 256, 12, 4))
	c.fill(across(light, dark, 240, 600), box(264, 112, 272, 180, 78))
	c.fill(across(light, dark, 200, 560), box(302, 352, 196, 158, 34))
	c.fill(sheer(0x000000, 0.28), bar(point{316, 392}, point{484, 392}, 5))
	c.fill(plain(0xD9B25A), box(470, 388, 26, 9, 4))
	for _, x := range []float32{338, 444} {
		c.fill(plain(strap), box(x, 236, 18, 140, 4))
		c.fill(plain(0xD9B25A), box(x-5, 306, 28, 22, 5))
		c.fill(plain(dark), box(x+1, 311, 16, 12, 2))
	}
	c.fill(plain(0xF4EBD6), box(372, 180, 56, 38, 6))
	c.fill(plain(dark), polygon(point{380, 212}, point{395, 190}, point{403, 200}, point{409, 193}, point{421, 212}))
	return c
}

// mug stands on a saucer, empty or with tea in it.
func mug(light, dark uint32, tea bool) *canvas {
	c := scene(0xF6EFE6, 0xE7D6C4, 0xCFAE8A, 0xA98560)
	c.shade(390, 520, 230)
	c.fill(down(0xFBF7F0, 0xCDBFAE, 480, 545), ellipse(390, 512, 225, 36))
	c.fill(down(0xE4D8C8, 0xFBF7F0, 480, 530), ellipse(390, 506, 170, 24))
	c.fill(down(light, dark, 240, 470), ring(572, 350, 84, 96, 34))
	c.fill(across(light, dark, 250, 600), box(240, 206, 300, 304, 60))
	c.fill(sheer(0xFFFFFF, 0.22), box(266, 250, 26, 210, 13))
	c.fill(sheer(0x000000, 0.10), box(240, 430, 300, 10, 0))
	c.fill(plain(light), ellipse(390, 214, 150, 42))
	c.fill(down(dark, 0x2B211B, 170, 260), ellipse(390, 216, 134, 33))
	if !tea {
		c.fill(sheer(0xFFFFFF, 0.10), ellipse(390, 232, 100, 15))
		return c
	}
	c.fill(down(0x7A3B12, 0xC4762B, 205, 250), ellipse(390, 224, 122, 24))
	for i, x := range []float32{330, 390, 450} {
		for w := float32(26); w >= 8; w -= 6 {
			phase := float32(i) * 1.7
			rising := curve(0, 130, 4, func(y float32) float32 { return x + 16*sine(y/24+phase)*(0.4+y/130) })
			for j, p := range rising {
				rising[j] = point{p.y, 196 - p.x} // the curve runs upwards
			}
			c.fill(sheer(0xFFFFFF, 0.16), ribbon(w, rising...))
		}
	}
	return c
}

// notebook lies on a desk, closed or open.
func notebook(open bool) *canvas {
	c := newCanvas(artWidth, artHeight)
	c.wash(down(0xDCE3E6, 0xB9C6CC, 0, artHeight))
	if open {
		c.openNotebook()
	} else {
		c.closedNotebook()
	}
	c.pencil(point{120, 520}, point{330, 560})
	return c
}

func (c *canvas) closedNotebook() {
	for i := range 6 {
		grow := float32(i) * 4
		c.fill(sheer(0x000000, 0.05), box(236-grow, 86-grow, 340+2*grow, 440+2*grow, 24))
	}
	c.fill(plain(0xEFE7D8), box(250, 84, 330, 436, 16))
	c.fill(across(0x33517E, 0x1D3153, 230, 580), box(232, 78, 338, 436, 18))
	c.fill(sheer(0x000000, 0.22), box(232, 78, 36, 436, 18))
	c.fill(sheer(0xFFFFFF, 0.07), box(276, 78, 6, 436, 0))
	c.fill(plain(0xE2574C), box(520, 78, 16, 436, 0))
	c.fill(sheer(0xFFFFFF, 0.2), box(522, 78, 4, 436, 0))
	c.fill(plain(0xF4EBD6), box(320, 160, 160, 84, 8))
	for i := range 3 {
		c.fill(sheer(0x1D3153, 0.5), box(340, 184+float32(i)*18, 120-float32(i)*26, 5, 2))
	}
	c.fill(plain(0xE2574C), polygon(point{300, 512}, point{320, 512}, point{320, 566}, point{310, 554}, point{300, 566}))
}

func (c *canvas) openNotebook() {
	c.fill(sheer(0x000000, 0.18), box(92, 112, 630, 410, 20))
	c.fill(plain(0x1D3153), box(84, 96, 632, 412, 18))
	c.fill(across(0xFDFAF2, 0xE9E1D0, 100, 430), box(98, 104, 300, 394, 10))
	c.fill(across(0xE4DCCB, 0xFDFAF2, 400, 470), box(402, 104, 300, 394, 10))
	for y := float32(128); y < 490; y += 22 {
		for x := float32(120); x < 700; x += 22 {
			if x < 385 || x > 415 {
				c.fill(sheer(0x5B6B80, 0.55), ellipse(x, y, 2, 2))
			}
		}
	}
	wave := curve(130, 372, 4, func(x float32) float32 { return 300 - (x-130)*0.45 + 26*sine(x/26) })
	c.fill(plain(0x33517E), ribbon(5, wave...))
	c.fill(plain(0xE2574C), ring(560, 260, 84, 84, 6), box(476, 382, 168, 6, 3))
	c.fill(sheer(0xE2574C, 0.25), ellipse(560, 260, 78, 78))
}

// pencil has its tip at the second point.
func (c *canvas) pencil(from, tip point) {
	at := func(part float32) point { return point{from.x + (tip.x-from.x)*part, from.y + (tip.y-from.y)*part} }
	c.fill(sheer(0x000000, 0.15), bar(point{from.x + 6, from.y + 12}, point{tip.x - 8, tip.y + 10}, 18))
	c.fill(plain(0xF0B429), bar(at(0.09), at(0.88), 20))
	c.fill(sheer(0xFFFFFF, 0.35), bar(at(0.09), at(0.88), 6))
	c.fill(plain(0xE79AA0), bar(at(0), at(0.07), 20))
	c.fill(plain(0xB8BFC6), bar(at(0.06), at(0.1), 21))
	wide := point{-(tip.y - from.y), tip.x - from.x}
	const half = 10.0 / 214
	foot := at(0.88)
	c.fill(plain(0xEBD0A5), polygon(point{foot.x + wide.x*half, foot.y + wide.y*half}, tip, point{foot.x - wide.x*half, foot.y - wide.y*half}))
	lead := at(0.96)
	c.fill(plain(0x2D2D2D), polygon(point{lead.x + wide.x*half/3, lead.y + wide.y*half/3}, tip, point{lead.x - wide.x*half/3, lead.y - wide.y*half/3}))
}
