package label

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// What [Disturb] does to a picture, at most.
const (
	maxTurn       = 8    // degrees, to either side
	maxCrop       = 0.10 // of the width or height, on each side
	minBrightness = 0.6
	maxBrightness = 1.4
	noiseSigma    = 8 // of 255
	quality       = 60
)

// Disturb makes of a photograph what a phone would have taken: turned by up to
// ±8° about its centre, cropped by 0 to 10 % on each side, brightness times 0.6 to
// 1.4, Gaussian noise of σ = 8 of 255 in every channel, JPEG of quality 60. What
// the turn brings in from outside repeats the border. rng decides; the same
// state gives the same bytes. Errors are those of [Index.Match].
func Disturb(photo []byte, rng *rand.Rand) ([]byte, error) {
	img, err := decode(photo)
	if err != nil {
		return nil, err
	}
	src := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(src, src.Bounds(), img, img.Bounds().Min, draw.Src)

	angle := uniform(rng, -maxTurn, maxTurn)
	w, h := src.Rect.Dx(), src.Rect.Dy()
	crop := func(size int) int { return int(math.Round(uniform(rng, 0, maxCrop) * float64(size))) }
	window := image.Rect(crop(w), crop(h), w-crop(w), h-crop(h))
	out := turn(src, angle, window)
	brightness := uniform(rng, minBrightness, maxBrightness)
	for i := range out.Pix {
		if i%4 != 3 {
			out.Pix[i] = clamp(float64(out.Pix[i])*brightness + rng.NormFloat64()*noiseSigma)
		}
	}
	return encode(out, quality), nil
}

func uniform(rng *rand.Rand, lo, hi float64) float64 { return lo + rng.Float64()*(hi-lo) }

func clamp(v float64) uint8 { return uint8(min(max(math.Round(v), 0), 255)) }

// turn rotates src about its centre and cuts out the window.
func turn(src *image.RGBA, degrees float64, window image.Rectangle) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, window.Dx(), window.Dy()))
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	w, h := src.Rect.Dx(), src.Rect.Dy()
	cx, cy := float64(w-1)/2, float64(h-1)/2
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			dx, dy := float64(x+window.Min.X)-cx, float64(y+window.Min.Y)-cy
			sx := min(max(cos*dx-sin*dy+cx, 0), float64(w-1))
			sy := min(max(sin*dx+cos*dy+cy, 0), float64(h-1))
			x0, y0 := min(int(sx), w-2), min(int(sy), h-2)
			fx, fy := sx-float64(x0), sy-float64(y0)
			at := y0*src.Stride + 4*x0
			to := y*out.Stride + 4*x
			for c := range 3 {
				top := float64(src.Pix[at+c])*(1-fx) + float64(src.Pix[at+4+c])*fx
				bottom := float64(src.Pix[at+src.Stride+c])*(1-fx) + float64(src.Pix[at+src.Stride+4+c])*fx
				out.Pix[to+c] = clamp(top*(1-fy) + bottom*fy)
			}
			out.Pix[to+3] = 255
		}
	}
	return out
}

// encode cannot fail: the picture is small and the writer is memory.
func encode(img image.Image, quality int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Size of the pictures below.
const shotWidth, shotHeight = 240, 320

// Noise is a JPEG of random grey values.
func Noise(rng *rand.Rand) []byte {
	img := image.NewGray(image.Rect(0, 0, shotWidth, shotHeight))
	for i := range img.Pix {
		img.Pix[i] = uint8(rng.IntN(256))
	}
	return encode(img, quality)
}

// Gradient is a JPEG that passes from one colour to another in a random direction.
func Gradient(rng *rand.Rand) []byte {
	img := image.NewRGBA(image.Rect(0, 0, shotWidth, shotHeight))
	sin, cos := math.Sincos(rng.Float64() * 2 * math.Pi)
	var from, to [3]float64
	for c := range 3 {
		from[c], to[c] = rng.Float64()*255, rng.Float64()*255
	}
	for y := range shotHeight {
		for x := range shotWidth {
			t := 0.5 + (cos*(float64(x)/shotWidth-0.5)+sin*(float64(y)/shotHeight-0.5))/math.Sqrt2
			mix := func(c int) uint8 { return clamp(from[c] + t*(to[c]-from[c])) }
			img.SetRGBA(x, y, color.RGBA{mix(0), mix(1), mix(2), 255})
		}
	}
	return encode(img, quality)
}

// Text is a JPEG of a page of random words in lines.
func Text(rng *rand.Rand) []byte {
	img := image.NewGray(image.Rect(0, 0, shotWidth, shotHeight))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	face := basicfont.Face7x13
	for y := 20 + face.Ascent; y < shotHeight-20; y += 15 {
		d := font.Drawer{Dst: img, Src: image.Black, Face: face, Dot: fixed.P(18, y)}
		for {
			word := make([]byte, 2+rng.IntN(8))
			for i := range word {
				word[i] = byte('a' + rng.IntN(26))
			}
			if d.Dot.X.Ceil()+d.MeasureString(string(word)).Ceil() > shotWidth-18 {
				break
			}
			d.DrawString(string(word) + " ")
		}
	}
	return encode(img, quality)
}
