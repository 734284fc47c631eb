package label

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"

	"golang.org/x/image/draw"
)

// Limits on an upload, checked before it is decoded.
const (
	MaxBytes  = 4 << 20 // of the file
	MaxPixels = 4 << 20 // width times height; decoding takes up to 20 bytes for each
	// maxScans bounds the passes of a progressive JPEG: each costs time in
	// proportion to the pixels, and no bytes to speak of. Cameras make about ten.
	maxScans = 64
	// minSide is the least width and height that can be compared.
	minSide = 32
)

// Errors that [NotJPEGError] and [SizeError] match with errors.Is.
var (
	ErrNotJPEG = errors.New("not a JPEG")
	ErrSize    = errors.New("picture of unacceptable size")
)

// A NotJPEGError says what was uploaded instead of a JPEG. It matches [ErrNotJPEG].
type NotJPEGError struct {
	Format string // as detected from the first bytes, such as "image/png"
	Head   []byte // the first bytes, at most 8
	Err    error  // what the decoder said; nil if it was not asked
}

func (e *NotJPEGError) Error() string {
	if len(e.Head) == 0 {
		return "not a JPEG: the upload is empty"
	}
	if e.Err != nil {
		return fmt.Sprintf("not a whole JPEG (it begins with % x): %v", e.Head, e.Err)
	}
	return fmt.Sprintf("not a JPEG but %s (it begins with % x); upload a JPEG", e.Format, e.Head)
}

// Is reports whether target is [ErrNotJPEG].
func (e *NotJPEGError) Is(target error) bool { return target == ErrNotJPEG }

func (e *NotJPEGError) Unwrap() error { return e.Err }

// A SizeError says that a picture is too large to be decoded, or too small to be
// compared. It matches [ErrSize].
type SizeError struct {
	Bytes         int
	Width, Height int // 0 when the bytes alone were too many
	Scans         int // of a progressive JPEG, when they are too many
}

func (e *SizeError) Error() string {
	switch {
	case e.Scans > 0:
		return fmt.Sprintf("a JPEG of %d scans; at most %d are taken", e.Scans, maxScans)
	case e.Width == 0:
		return fmt.Sprintf("a picture of %d bytes; at most %d are taken", e.Bytes, MaxBytes)
	case e.Width < minSide || e.Height < minSide:
		return fmt.Sprintf("a picture of %d x %d; at least %d x %[3]d are needed", e.Width, e.Height, minSide)
	}
	return fmt.Sprintf("a picture of %d x %d; at most %d pixels are taken, scale it down", e.Width, e.Height, MaxPixels)
}

// Is reports whether target is [ErrSize].
func (e *SizeError) Is(target error) bool { return target == ErrSize }

// decode reads a JPEG from a stranger.
func decode(data []byte) (image.Image, error) {
	head := bytes.Clone(data[:min(8, len(data))])
	if !bytes.HasPrefix(data, []byte{0xff, 0xd8}) {
		return nil, &NotJPEGError{Format: http.DetectContentType(data), Head: head}
	}
	if len(data) > MaxBytes {
		return nil, &SizeError{Bytes: len(data)}
	}
	cfg, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, &NotJPEGError{Format: "image/jpeg", Head: head, Err: err}
	}
	if cfg.Width < minSide || cfg.Height < minSide || cfg.Width*cfg.Height > MaxPixels {
		return nil, &SizeError{Bytes: len(data), Width: cfg.Width, Height: cfg.Height}
	}
	if scans := bytes.Count(data, []byte{0xff, 0xda}); scans > maxScans {
		return nil, &SizeError{Bytes: len(data), Width: cfg.Width, Height: cfg.Height, Scans: scans}
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, &NotJPEGError{Format: "image/jpeg", Head: head, Err: err}
	}
	return img, nil
}

// grey scales the brightness of img to w x h.
func grey(img image.Image, w, h int) plane {
	if c, ok := img.(*image.YCbCr); ok { // its brightness is there already
		img = &image.Gray{Pix: c.Y, Stride: c.YStride, Rect: c.Rect}
	}
	small := image.NewGray(image.Rect(0, 0, w, h))
	draw.BiLinear.Scale(small, small.Bounds(), img, img.Bounds(), draw.Src, nil)
	p := newPlane(w, h)
	for i, v := range small.Pix {
		p.v[i] = float32(v)
	}
	return p
}
