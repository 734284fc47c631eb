package flow

import "fmt"

// maxHeld bounds the weight of an element that is held. It is half of what an item of a batch may carry, so
// the difference between any two states of an operator is a batch, and a state is one, too.
const maxHeld = maxWeight / 2

// WeightError says that a change was refused, because it takes the weight of an element out of range.
// Nothing has changed. Weights are numbers of supports: whoever makes the change counts something else.
type WeightError struct {
	Elem string // as it is printed
	// Weight is what the element would weigh, or close to the range of int64 when it would be beyond that.
	Weight int64
}

// Error implements error.
func (e *WeightError) Error() string {
	return fmt.Sprintf("a change takes the weight of %s to %d, beyond %d: weights are numbers of supports, +1 for each that is born and -1 for each that dies",
		e.Elem, e.Weight, int64(maxHeld))
}

// changes is the sum of the sizes of all changes so far: no weight is larger than that.
type changes int64

// admit says whether the weights of in, in which elements may repeat, can be added to those that weight
// tells. While all that ever changed is in range it costs an addition for each item, and else a search.
func admit[E comparable](sofar *changes, in []Weighted[E], weight func(E) int64) error {
	total := *sofar
	for i := range in {
		if total += changes(max(in[i].Weight, -in[i].Weight)); total > maxHeld {
			return admitExactly(in, weight)
		}
	}
	*sofar = total
	return nil
}

func admitExactly[E comparable](in []Weighted[E], weight func(E) int64) error {
	const far = 1 << 62
	sums := make(map[E]int64, len(in))
	for _, it := range in {
		sum, ok := sums[it.Elem]
		if !ok {
			sum = weight(it.Elem)
		}
		if sum += it.Weight; sum > far || sum < -far {
			return &WeightError{fmt.Sprint(it.Elem), sum}
		}
		sums[it.Elem] = sum
	}
	for _, it := range in {
		if sum := sums[it.Elem]; sum > maxHeld || sum < -maxHeld {
			return &WeightError{fmt.Sprint(it.Elem), sum}
		}
	}
	return nil
}

// itself says whether each element equals itself, and else which is the first that does not, which no index
// finds again: a NaN, or what holds one.
func itself[E comparable](items []Weighted[E]) (at int, ok bool) {
	for i := range items {
		if e, same := items[i].Elem, items[i].Elem; e != same {
			return i, false
		}
	}
	return 0, true
}

// notItself is what operators panic with when a function makes what does not equal itself.
func notItself(op string) string {
	return "flow: a function given to " + op + " made what does not equal itself (a NaN, or what holds one), so that it could not be found again"
}

// mustFind panics with notItself where k could not be found again.
func mustFind[K comparable](k K, op string) {
	if same := k; k != same {
		panic(notItself(op))
	}
}
