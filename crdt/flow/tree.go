package flow

// tree is an ordered set: an AVL tree, so that every operation visits O(log n) nodes whatever the order
// of the insertions. Its order is given with each call and must always be the same.
type tree[E any] struct {
	root *twig[E]
	n    int
}

type twig[E any] struct {
	elem        E
	left, right *twig[E]
	height      int
}

// insert adds e, which must not be there.
func (t *tree[E]) insert(e E, order func(a, b E) int, steps *int64) {
	t.root = t.root.insert(e, order, steps)
	t.n++
}

// remove takes e out and says whether it was there.
func (t *tree[E]) remove(e E, order func(a, b E) int, steps *int64) bool {
	root, ok := t.root.remove(e, order, steps)
	if ok {
		t.root = root
		t.n--
	}
	return ok
}

// min returns the least element; the tree must not be empty.
func (t *tree[E]) min(steps *int64) E {
	at := t.root
	for *steps++; at.left != nil; *steps++ {
		at = at.left
	}
	return at.elem
}

// max returns the greatest element; the tree must not be empty.
func (t *tree[E]) max(steps *int64) E {
	at := t.root
	for *steps++; at.right != nil; *steps++ {
		at = at.right
	}
	return at.elem
}

// each yields the elements in ascending order until yield returns false.
func (t *tree[E]) each(yield func(E) bool) bool { return t.root.each(yield) }

func (w *twig[E]) each(yield func(E) bool) bool {
	return w == nil || w.left.each(yield) && yield(w.elem) && w.right.each(yield)
}

func (w *twig[E]) insert(e E, order func(a, b E) int, steps *int64) *twig[E] {
	*steps++
	if w == nil {
		return &twig[E]{elem: e, height: 1}
	}
	if order(e, w.elem) < 0 {
		w.left = w.left.insert(e, order, steps)
	} else {
		w.right = w.right.insert(e, order, steps)
	}
	return w.balanced()
}

func (w *twig[E]) remove(e E, order func(a, b E) int, steps *int64) (*twig[E], bool) {
	*steps++
	if w == nil {
		return nil, false
	}
	var ok bool
	switch c := order(e, w.elem); {
	case c < 0:
		w.left, ok = w.left.remove(e, order, steps)
	case c > 0:
		w.right, ok = w.right.remove(e, order, steps)
	case w.left == nil:
		return w.right, true
	case w.right == nil:
		return w.left, true
	default:
		ok = true
		w.right, w.elem = w.right.takeMin(steps)
	}
	if !ok {
		return w, false
	}
	return w.balanced(), true
}

func (w *twig[E]) takeMin(steps *int64) (*twig[E], E) {
	*steps++
	if w.left == nil {
		return w.right, w.elem
	}
	var e E
	w.left, e = w.left.takeMin(steps)
	return w.balanced(), e
}

func (w *twig[E]) h() int {
	if w == nil {
		return 0
	}
	return w.height
}

func (w *twig[E]) lean() int { return w.left.h() - w.right.h() }

func (w *twig[E]) measured() *twig[E] {
	w.height = 1 + max(w.left.h(), w.right.h())
	return w
}

func (w *twig[E]) balanced() *twig[E] {
	switch w.lean() {
	case 2:
		if w.left.lean() < 0 {
			w.left = w.left.turnLeft()
		}
		return w.turnRight()
	case -2:
		if w.right.lean() > 0 {
			w.right = w.right.turnRight()
		}
		return w.turnLeft()
	default:
		return w.measured()
	}
}

func (w *twig[E]) turnRight() *twig[E] {
	up := w.left
	w.left, up.right = up.right, w
	w.measured()
	return up.measured()
}

func (w *twig[E]) turnLeft() *twig[E] {
	up := w.right
	w.right, up.left = up.left, w
	w.measured()
	return up.measured()
}
