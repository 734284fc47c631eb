package crdt

import (
	"encoding/json"
	"strconv"
)

// MarshalJSON writes the value. It is for reading, there is no way back.
func (c *Counter) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, c.Value(), 10), nil
}

// MarshalJSON writes the elements as an array, in the order of All.
func (s *Set[E]) MarshalJSON() ([]byte, error) { return marshalItems(s.All()) }

// MarshalJSON writes the value, null when there is none.
func (r *Register[V]) MarshalJSON() ([]byte, error) {
	if r.IsEmpty() {
		return []byte("null"), nil
	}
	return json.Marshal(r.v)
}

// MarshalJSON writes an array of objects with key and value, by the bytes of the keys. It encodes and sorts
// the keys.
func (m *RegisterMap[K, V]) MarshalJSON() ([]byte, error) {
	out := []keyed[K, V]{}
	if !m.IsEmpty() {
		mustHave(m.keys)
		for _, e := range sortedEntries(m.entries, m.keys) {
			if e.value.live {
				out = append(out, keyed[K, V]{e.key, e.value.v})
			}
		}
	}
	return json.Marshal(out)
}
