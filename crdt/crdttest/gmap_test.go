package crdttest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
)

func setCodec() crdt.Codec[*crdt.Set[uint64]] {
	return crdt.Codec[*crdt.Set[uint64]]{
		Append: func(b []byte, s *crdt.Set[uint64]) []byte { return s.Append(b, Uints()) },
		Decode: func(b []byte) (*crdt.Set[uint64], error) { return crdt.DecodeSet(b, Uints()) },
		Clone:  (*crdt.Set[uint64]).Clone,
	}
}

func gmapSubject(keys uint64) Subject[*crdt.GMap[uint64, *crdt.Set[uint64]]] {
	type gmap = *crdt.GMap[uint64, *crdt.Set[uint64]]
	return Subject[gmap]{
		New: func() gmap { return crdt.NewGMap(Uints(), crdt.NewSet[uint64]) },
		Begin: func() func(*rapid.T, int, gmap) gmap {
			ms := minters()
			element := rapid.Uint64Range(0, 3)
			return func(t *rapid.T, replica int, m gmap) gmap {
				if rapid.IntRange(0, 5).Draw(t, "many") == 0 {
					delta := crdt.NewGMap(Uints(), crdt.NewSet[uint64])
					for k := range keys { // enough for buckets, when there are many keys
						delta.Join(m.Update(k, func(s *crdt.Set[uint64]) *crdt.Set[uint64] { return s.Add(ms[replica], 1) }))
					}
					return delta
				}
				k, e := rapid.Uint64Range(0, keys-1).Draw(t, "key"), element.Draw(t, "e")
				return m.Update(k, func(s *crdt.Set[uint64]) *crdt.Set[uint64] {
					if rapid.Bool().Draw(t, "add") {
						return s.Add(ms[replica], e)
					}
					return s.Remove(e)
				})
			}
		},
		Append: func(b []byte, m gmap) []byte { return m.Append(b, Uints(), setCodec()) },
		Decode: func(b []byte) (gmap, error) {
			return crdt.DecodeGMap(b, Uints(), setCodec(), crdt.NewSet[uint64])
		},
		LooseDigest: true,
	}
}

func TestGMapLaws(t *testing.T) {
	t.Parallel()
	t.Run("few keys", func(t *testing.T) { t.Parallel(); Laws(t, gmapSubject(3)) })
	t.Run("no more than listed", func(t *testing.T) { t.Parallel(); Laws(t, gmapSubject(20)) })
}

// TestGMapMeansItsValues compares a map with one value for each key, over any deltas.
func TestGMapMeansItsValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const keys = 3
		type gmap = *crdt.GMap[uint64, *crdt.Counter]
		type replica struct {
			real  gmap
			model [keys]*crdt.Counter
		}
		fresh := func() (r replica) {
			r.real = crdt.NewGMap(Uints(), crdt.NewCounter)
			for k := range r.model {
				r.model[k] = crdt.NewCounter()
			}
			return r
		}
		replicas := []replica{fresh(), fresh(), fresh()}
		var messages []replica
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, 2).Draw(t, "replica")
			r := &replicas[i]
			if rapid.Bool().Draw(t, "add") || len(messages) == 0 {
				k, n := rapid.IntRange(0, keys-1).Draw(t, "key"), rapid.Int64Range(-3, 3).Draw(t, "n")
				d := fresh()
				d.real = r.real.Update(uint64(k), func(c *crdt.Counter) *crdt.Counter { return c.Add(crdt.Actor(i+1), n) })
				d.model[k].Join(r.model[k].Add(crdt.Actor(i+1), n))
				messages = append(messages, d)
			} else {
				d := messages[rapid.IntRange(0, len(messages)-1).Draw(t, "message")]
				r.real.Join(d.real)
				for k := range r.model {
					r.model[k].Join(d.model[k])
				}
			}
			for k := range r.model {
				v, ok := r.real.Get(uint64(k))
				require.Equal(t, !r.model[k].IsEmpty(), ok)
				require.Equal(t, r.model[k].Value(), v.Value())
			}
		}
	})
}
