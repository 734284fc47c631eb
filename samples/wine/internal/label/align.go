package label

import "math"

// A warp maps a point of the upload to a point of the known photograph, both
// measured from the centre with the height as 1, so that it holds at any
// resolution: scaled by sx and sy, turned, shifted. These five are what turning
// and cropping make; a general affine map has a sixth, shear, which labels with
// few upright lines leave open.
type warp struct {
	turn   float64 // radians
	sx, sy float64 // the part of the width and of the height that the upload shows
	dx, dy float64
}

func turned(degrees, sx, sy, dx, dy float64) warp {
	return warp{turn: degrees * math.Pi / 180, sx: sx, sy: sy, dx: dx, dy: dy}
}

// affine is the warp as (u,v) → (a·u+b·v+dx, c·u+d·v+dy).
type affine struct{ a, b, dx, c, d, dy float64 }

func (w warp) affine() affine {
	sin, cos := math.Sincos(w.turn)
	return affine{a: cos * w.sx, b: -sin * w.sy, dx: w.dx, c: sin * w.sx, d: cos * w.sy, dy: w.dy}
}

// plausible reports whether a hand-held camera makes that warp. The bounds leave
// room around ±8° and crops of up to 10 % a side; without them the refinement
// finds, for a picture of something else, the distortion that fits best.
func (w warp) plausible() bool {
	const turn, shift = 13 * math.Pi / 180, 0.12
	return w.sx > 0.7 && w.sx < 1.15 && w.sy > 0.7 && w.sy < 1.15 &&
		math.Abs(w.turn) < turn && math.Abs(w.dx) < shift && math.Abs(w.dy) < shift
}

// A level is a normalised picture at one resolution, with its gradients beside
// each value if it is to be aligned with.
type level struct {
	p   plane
	gxy [][3]float32 // value, and what it grows by to the right and downwards
}

func newLevel(p plane) level { return level{p: p} }

func newKnownLevel(p plane) level {
	l := level{p: p, gxy: make([][3]float32, len(p.v))}
	for y := range p.h {
		up, down := max(0, y-1), min(p.h-1, y+1)
		for x := range p.w {
			left, right := max(0, x-1), min(p.w-1, x+1)
			l.gxy[y*p.w+x] = [3]float32{
				p.v[y*p.w+x],
				(p.v[y*p.w+right] - p.v[y*p.w+left]) / float32(right-left),
				(p.v[down*p.w+x] - p.v[up*p.w+x]) / float32(down-up),
			}
		}
	}
	return l
}

// at interpolates the value and the gradients at a point inside the picture.
func (l *level) at(x, y float32) (p, gx, gy float32) {
	x0, y0 := min(int(x), l.p.w-2), min(int(y), l.p.h-2)
	fx, fy := x-float32(x0), y-float32(y0)
	top := l.gxy[y0*l.p.w+x0:][:2]
	bottom := l.gxy[(y0+1)*l.p.w+x0:][:2]
	w00, w01, w10, w11 := (1-fx)*(1-fy), fx*(1-fy), (1-fx)*fy, fx*fy
	a, b, c, d := &top[0], &top[1], &bottom[0], &bottom[1]
	return w00*a[0] + w01*b[0] + w10*c[0] + w11*d[0],
		w00*a[1] + w01*b[1] + w10*c[1] + w11*d[1],
		w00*a[2] + w01*b[2] + w10*c[2] + w11*d[2]
}

// maxStep bounds one step of the refinement, as a part of the height: a linear
// prediction from further away is not to be trusted.
const maxStep = 0.06

// The least squares have seven unknowns: the five of the warp, gain and offset.
// Their equations are summed up for the six of an affine map, gain and offset.
const unknowns, affineUnknowns = 7, 8

// refine improves the warp of upload onto known by at most rounds Gauss-Newton
// steps. It reports false when the pictures have nothing in common there.
func refine(upload, known level, w warp, rounds int) (warp, bool) {
	for range rounds {
		normal, right := w.project(equations(upload.p, &known, w.affine()))
		s, ok := solve(&normal, right)
		gain := s[5]
		if !ok || gain < 0.1 {
			return w, false
		}
		// The system is linear in gain·step.
		var step [5]float64
		largest := 0.0
		for i := range step {
			step[i] = s[i] / gain
			largest = max(largest, math.Abs(step[i]))
		}
		if largest > maxStep {
			for i := range step {
				step[i] *= maxStep / largest
			}
		}
		w.turn += step[0]
		w.sx, w.sy = w.sx+step[1], w.sy+step[2]
		w.dx, w.dy = w.dx+step[3], w.dy+step[4]
		if !w.plausible() {
			return w, false
		}
		if largest < 0.0005 { // a twentieth of a pixel
			break
		}
	}
	return w, true
}

// project turns equations for an affine step into equations for a step of w, by
// the derivatives of the affine map.
func (w warp) project(affine [affineUnknowns][affineUnknowns]float64, affineRight [affineUnknowns]float64) (normal [unknowns][unknowns]float64, right [unknowns]float64) {
	sin, cos := math.Sincos(w.turn)
	derivative := [unknowns][affineUnknowns]float64{ // of a, b, dx, c, d, dy, gain, offset
		{-sin * w.sx, -cos * w.sy, 0, cos * w.sx, -sin * w.sy, 0, 0, 0},
		{cos, 0, 0, sin, 0, 0, 0, 0},
		{0, -sin, 0, 0, cos, 0, 0, 0},
		{0, 0, 1, 0, 0, 0, 0, 0},
		{0, 0, 0, 0, 0, 1, 0, 0},
		{0, 0, 0, 0, 0, 0, 1, 0},
		{0, 0, 0, 0, 0, 0, 0, 1},
	}
	for i, di := range derivative {
		for m, x := range di {
			right[i] += x * affineRight[m]
		}
		for k := i; k < unknowns; k++ {
			for m, x := range di {
				for n, y := range derivative[k] {
					normal[i][k] += x * y * affine[min(m, n)][max(m, n)]
				}
			}
		}
	}
	return normal, right
}

// equations sums up the normal equations of
//
//	upload(u,v) = gain·known(w(u,v)) + ∇known·J·gain·step + offset
//
// over the points that both pictures have. Their unknowns are gain·step (six),
// gain and offset; only the upper half of the matrix is set. v is the same along
// a row, so it is multiplied in once a row.
func equations(p plane, known *level, w affine) (normal [affineUnknowns][affineUnknowns]float64, right [affineUnknowns]float64) {
	scale := float64(p.h)
	cx, cy := float64(p.w-1)/2, float64(p.h-1)/2
	maxX, maxY := float64(p.w-1), float64(p.h-1)
	for y := range p.h {
		v := (float64(y) - cy) / scale
		var xx, xxu, xxuu, xy, xyu, xyuu, yy, yyu, yyuu float64 // gradients with each other
		var xk, xku, yk, yku, sx, sxu, sy, syu float64          // with the value and with 1
		var kk, sk, n, xq, xqu, yq, yqu, kq, sq float64
		for x, value := range p.v[y*p.w : (y+1)*p.w] {
			u := (float64(x) - cx) / scale
			kx := (w.a*u+w.b*v+w.dx)*scale + cx
			ky := (w.c*u+w.d*v+w.dy)*scale + cy
			if kx < 0 || ky < 0 || kx > maxX || ky > maxY {
				continue
			}
			k32, gx32, gy32 := known.at(float32(kx), float32(ky))
			k, gx, gy, q := float64(k32), float64(gx32)*scale, float64(gy32)*scale, float64(value)
			gxu, gyu := gx*u, gy*u
			xx, xxu, xxuu = xx+gx*gx, xxu+gx*gxu, xxuu+gxu*gxu
			xy, xyu, xyuu = xy+gx*gy, xyu+gx*gyu, xyuu+gxu*gyu
			yy, yyu, yyuu = yy+gy*gy, yyu+gy*gyu, yyuu+gyu*gyu
			xk, xku, yk, yku = xk+gx*k, xku+gxu*k, yk+gy*k, yku+gyu*k
			sx, sxu, sy, syu = sx+gx, sxu+gxu, sy+gy, syu+gyu
			kk, sk, n = kk+k*k, sk+k, n+1
			xq, xqu, yq, yqu = xq+gx*q, xqu+gxu*q, yq+gy*q, yqu+gyu*q
			kq, sq = kq+k*q, sq+q
		}
		for i, row := range [affineUnknowns][affineUnknowns]float64{
			{xxuu, xxu * v, xxu, xyuu, xyu * v, xyu, xku, sxu},
			{0, xx * v * v, xx * v, xyu * v, xy * v * v, xy * v, xk * v, sx * v},
			{0, 0, xx, xyu, xy * v, xy, xk, sx},
			{0, 0, 0, yyuu, yyu * v, yyu, yku, syu},
			{0, 0, 0, 0, yy * v * v, yy * v, yk * v, sy * v},
			{0, 0, 0, 0, 0, yy, yk, sy},
			{0, 0, 0, 0, 0, 0, kk, sk},
			{0, 0, 0, 0, 0, 0, 0, n},
		} {
			for k := i; k < affineUnknowns; k++ {
				normal[i][k] += row[k]
			}
		}
		for i, r := range [affineUnknowns]float64{xqu, xq * v, xq, yqu, yq * v, yq, kq, sq} {
			right[i] += r
		}
	}
	return normal, right
}

// solve is Cholesky's method; a is symmetric, only its upper half is given.
func solve(a *[unknowns][unknowns]float64, b [unknowns]float64) ([unknowns]float64, bool) {
	for i := range unknowns {
		a[i][i] = a[i][i]*1.0001 + 1e-9
	}
	var l [unknowns][unknowns]float64
	for i := range unknowns {
		for k := 0; k <= i; k++ {
			s := a[k][i]
			for m := range k {
				s -= l[i][m] * l[k][m]
			}
			if i != k {
				l[i][k] = s / l[k][k]
				continue
			}
			if !(s > 0) {
				return b, false
			}
			l[i][i] = math.Sqrt(s)
		}
	}
	for i := range unknowns {
		for m := range i {
			b[i] -= l[i][m] * b[m]
		}
		b[i] /= l[i][i]
	}
	for i := unknowns - 1; i >= 0; i-- {
		for m := i + 1; m < unknowns; m++ {
			b[i] -= l[m][i] * b[m]
		}
		b[i] /= l[i][i]
	}
	return b, true
}

// correlation of the upload with the known photograph under the warp, -1 to 1,
// over the part that both show.
func correlation(upload, known plane, by warp) float64 {
	w, scale := by.affine(), float64(upload.h)
	cx, cy := float64(upload.w-1)/2, float64(upload.h-1)/2
	var n, sq, sk, sqq, skk, sqk float64
	for y := range upload.h {
		v := (float64(y) - cy) / scale
		for x := range upload.w {
			u := (float64(x) - cx) / scale
			kx := (w.a*u+w.b*v+w.dx)*scale + cx
			ky := (w.c*u+w.d*v+w.dy)*scale + cy
			if kx < 0 || ky < 0 || kx > float64(upload.w-1) || ky > float64(upload.h-1) {
				continue
			}
			q, k := float64(upload.v[y*upload.w+x]), float64(known.at(float32(kx), float32(ky)))
			n++
			sq, sk, sqq, skk, sqk = sq+q, sk+k, sqq+q*q, skk+k*k, sqk+q*k
		}
	}
	if n < float64(len(upload.v))/2 {
		return 0
	}
	vq, vk := sqq-sq*sq/n, skk-sk*sk/n
	if vq <= 1e-6 || vk <= 1e-6 {
		return 0
	}
	return (sqk - sq*sk/n) / math.Sqrt(vq*vk)
}
