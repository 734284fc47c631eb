package catalogue

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"strings"
	"unicode"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// Size of a drawn label, the same as of the photographs.
const (
	labelWidth, labelHeight = 240, 320
	labelQuality            = 90
)

// drawLabel paints a bottle with the wine's label: paper, frame, an emblem made
// of strokes, winery and name. rng decides the layout, so that no two look alike.
func drawLabel(w Wine, rng *rand.Rand) []byte {
	img := image.NewRGBA(image.Rect(0, 0, labelWidth, labelHeight))
	fill(img, img.Bounds(), tone(rng, 40, 120))
	glass := image.Rect(14+rng.IntN(16), 0, labelWidth-14-rng.IntN(16), labelHeight)
	fill(img, glass, tone(rng, 5, 60))
	fill(img, image.Rect(glass.Min.X+8, 0, glass.Min.X+14, labelHeight), tone(rng, 90, 140)) // a reflection

	paper, ink, second := tone(rng, 185, 250), tone(rng, 0, 90), tone(rng, 0, 90)
	if rng.IntN(4) == 0 {
		paper, ink, second = tone(rng, 30, 100), tone(rng, 190, 255), tone(rng, 190, 255)
	}
	top := 30 + rng.IntN(60)
	label := image.Rect(glass.Min.X+4, top, glass.Max.X-4, min(labelHeight-10, top+190+rng.IntN(60)))
	fill(img, label, paper)
	pattern(img, label.Inset(2), rng, paper)
	frame(img, label.Inset(5+rng.IntN(4)), 1+rng.IntN(4), ink)

	emblem := image.Pt((label.Min.X+label.Max.X)/2+rng.IntN(41)-20, label.Min.Y+45+rng.IntN(30))
	textTop := label.Min.Y + 105
	if rng.IntN(3) == 0 { // the name above, the emblem below
		emblem.Y, textTop = label.Max.Y-50, label.Min.Y+20
	}
	drawEmblem(img, emblem, rng, ink, tone(rng, 60, 200))
	write(img, label, textTop, 1+rng.Float64()*0.6, ink, w.Winery)
	write(img, label, textTop+34, 1.2+rng.Float64()*0.8, second, w.Name)
	write(img, label, textTop+68, 1, ink, w.Country+" "+w.Type)

	var buf bytes.Buffer
	// Encoding an RGBA picture of this size into memory has no way to fail.
	if err := jpeg.Encode(&buf, img, &jpeg.Options{Quality: labelQuality}); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// tone draws a colour whose channels are in [lo, hi).
func tone(rng *rand.Rand, lo, hi int) color.RGBA {
	c := func() uint8 { return uint8(lo + rng.IntN(hi-lo)) }
	return color.RGBA{c(), c(), c(), 255}
}

func fill(img draw.Image, r image.Rectangle, c color.Color) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// pattern paints a few large ellipses in tints of the paper, nowhere regular.
func pattern(img *image.RGBA, r image.Rectangle, rng *rand.Rand, paper color.RGBA) {
	shade := func(v uint8, by int) uint8 {
		if v > 128 {
			return uint8(int(v) - by)
		}
		return uint8(int(v) + by)
	}
	for range 5 + rng.IntN(4) {
		by := 30 + rng.IntN(90)
		tint := color.RGBA{shade(paper.R, by), shade(paper.G, by), shade(paper.B, by), 255}
		cx, cy := float64(r.Min.X+rng.IntN(r.Dx())), float64(r.Min.Y+rng.IntN(r.Dy()))
		sin, cos := math.Sincos(rng.Float64() * math.Pi)
		long, wide := 20+50*rng.Float64(), 8+22*rng.Float64()
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				dx, dy := float64(x)-cx, float64(y)-cy
				if a, b := (dx*cos+dy*sin)/long, (dy*cos-dx*sin)/wide; a*a+b*b < 1 {
					img.SetRGBA(x, y, tint)
				}
			}
		}
	}
}

func frame(img draw.Image, r image.Rectangle, width int, c color.Color) {
	for _, side := range []image.Rectangle{
		{r.Min, image.Pt(r.Max.X, r.Min.Y+width)},
		{image.Pt(r.Min.X, r.Max.Y-width), r.Max},
		{r.Min, image.Pt(r.Min.X+width, r.Max.Y)},
		{image.Pt(r.Max.X-width, r.Min.Y), r.Max},
	} {
		fill(img, side, c)
	}
}

// drawEmblem paints a star-like figure: r(φ) = R·(1 + a·cos(kφ+θ)) with a ring
// and a few dots.
func drawEmblem(img *image.RGBA, at image.Point, rng *rand.Rand, ink, accent color.RGBA) {
	radius := 18 + 18*rng.Float64()
	points, bulge, turn := float64(2+rng.IntN(7)), 0.2+0.5*rng.Float64(), rng.Float64()*2*math.Pi
	squeeze := 0.7 + 0.6*rng.Float64()
	hollow := rng.Float64() * 0.8
	for y := -45; y <= 45; y++ {
		for x := -60; x <= 60; x++ {
			r, phi := math.Hypot(float64(x)*squeeze, float64(y)), math.Atan2(float64(y), float64(x))
			edge := radius * (1 + bulge*math.Cos(points*phi+turn)) / (1 + bulge/2)
			switch {
			case r > edge:
			case r > edge*hollow:
				img.SetRGBA(at.X+x, at.Y+y, ink)
			default:
				img.SetRGBA(at.X+x, at.Y+y, accent)
			}
		}
	}
	for range 3 + rng.IntN(5) {
		p := at.Add(image.Pt(rng.IntN(120)-60, rng.IntN(70)-35))
		fill(img, image.Rectangle{p, p.Add(image.Pt(3+rng.IntN(9), 3+rng.IntN(9)))}, accent)
	}
}

// write centres the text in the label, scaled down if it would not fit.
func write(img *image.RGBA, label image.Rectangle, top int, scale float64, ink color.Color, text string) {
	face := basicfont.Face7x13
	text = plainLetters(text)
	width := font.MeasureString(face, text).Ceil()
	if width == 0 {
		return
	}
	scale = min(scale, float64(label.Dx()-24)/float64(width))
	small := image.NewRGBA(image.Rect(0, 0, width, face.Height))
	d := font.Drawer{Dst: small, Src: image.NewUniform(ink), Face: face, Dot: fixed.P(0, face.Ascent)}
	d.DrawString(text)
	w, h := int(float64(width)*scale), int(float64(face.Height)*scale*1.3)
	x := (label.Min.X + label.Max.X - w) / 2
	draw.BiLinear.Scale(img, image.Rect(x, top, x+w, top+h), small, small.Bounds(), draw.Over, nil)
}

// plainLetters takes off accents: the bitmap font has none.
func plainLetters(s string) string {
	plain, _, err := transform.String(transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn))), s)
	if err != nil {
		return strings.ToValidUTF8(s, "")
	}
	return plain
}
