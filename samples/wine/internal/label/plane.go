package label

import "math"

// A plane is a picture of one channel, in rows.
type plane struct {
	w, h int
	v    []float32
}

func newPlane(w, h int) plane { return plane{w, h, make([]float32, w*h)} }

// half averages squares of two by two.
func (p plane) half() plane {
	q := newPlane(p.w/2, p.h/2)
	for y := range q.h {
		a, b := p.v[2*y*p.w:], p.v[(2*y+1)*p.w:]
		for x := range q.w {
			q.v[y*q.w+x] = (a[2*x] + a[2*x+1] + b[2*x] + b[2*x+1]) / 4
		}
	}
	return q
}

// flatness is the contrast, in grey values, below which surroundings count as
// plain: it keeps noise on empty paper from looking like structure.
const flatness = 10

// normalized replaces each value by its distance from the mean of the square of
// side 2·radius+1 around it, in units of the standard deviation there.
func (p plane) normalized(radius int) plane {
	// Sums over [0,x) x [0,y), one row and column more than the picture.
	w1 := p.w + 1
	sum, squares := make([]float64, w1*(p.h+1)), make([]float64, w1*(p.h+1))
	for y := range p.h {
		var row, rowSquares float64
		for x := range p.w {
			v := float64(p.v[y*p.w+x])
			row += v
			rowSquares += v * v
			at := (y+1)*w1 + x + 1
			sum[at], squares[at] = sum[at-w1]+row, squares[at-w1]+rowSquares
		}
	}
	q := newPlane(p.w, p.h)
	for y := range p.h {
		y0, y1 := max(0, y-radius)*w1, min(p.h, y+radius+1)*w1
		for x := range p.w {
			x0, x1 := max(0, x-radius), min(p.w, x+radius+1)
			n := float64((y1 - y0) / w1 * (x1 - x0))
			mean := (sum[y1+x1] - sum[y0+x1] - sum[y1+x0] + sum[y0+x0]) / n
			meanSquare := (squares[y1+x1] - squares[y0+x1] - squares[y1+x0] + squares[y0+x0]) / n
			variance := max(0, meanSquare-mean*mean)
			q.v[y*p.w+x] = float32((float64(p.v[y*p.w+x]) - mean) / math.Sqrt(variance+flatness*flatness))
		}
	}
	return q
}

// at interpolates; points outside take the value at the border.
func (p plane) at(x, y float32) float32 {
	x = min(max(x, 0), float32(p.w-1))
	y = min(max(y, 0), float32(p.h-1))
	x0, y0 := min(int(x), p.w-2), min(int(y), p.h-2)
	fx, fy := x-float32(x0), y-float32(y0)
	r := p.v[y0*p.w+x0:]
	s := p.v[(y0+1)*p.w+x0:]
	top, bottom := r[0]+fx*(r[1]-r[0]), s[0]+fx*(s[1]-s[0])
	return top + fy*(bottom-top)
}

// smoothed is the picture under the kernel (1 2 1)/4 in both directions.
func (p plane) smoothed() plane {
	t, q := newPlane(p.w, p.h), newPlane(p.w, p.h)
	for y := range p.h {
		for x := range p.w {
			row := p.v[y*p.w:]
			t.v[y*p.w+x] = (row[max(0, x-1)] + 2*row[x] + row[min(p.w-1, x+1)]) / 4
		}
	}
	for y := range p.h {
		for x := range p.w {
			q.v[y*p.w+x] = (t.v[max(0, y-1)*p.w+x] + 2*t.v[y*p.w+x] + t.v[min(p.h-1, y+1)*p.w+x]) / 4
		}
	}
	return q
}
