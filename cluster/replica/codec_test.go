package replica

import (
	"math"
	"testing"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawMessage(t *rapid.T) *message {
	number := rapid.Uint64()
	data := rapid.Custom(func(t *rapid.T) []byte {
		b := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")
		if len(b) == 0 {
			return nil
		}
		return b
	})
	id := rapid.Custom(func(t *rapid.T) wire.ID {
		return wire.NewID(rapid.SampledFrom([]string{"a.A", "b.B", ""}).Draw(t, "kind"), rapid.String().Draw(t, "key"))
	})
	m := &message{to: machine.Incarnation(number.Draw(t, "to"))}
	switch rapid.IntRange(0, 5).Draw(t, "body") {
	case 0:
		first := rapid.Uint64Range(1, math.MaxUint64-100).Draw(t, "first")
		m.batch = &batch{stream: rapid.Uint64Min(1).Draw(t, "stream"), base: rapid.Uint64Range(1, first).Draw(t, "base"), first: first}
		for range rapid.IntRange(0, 9).Draw(t, "frames") {
			f := frame{id.Draw(t, "key"), append(data.Draw(t, "delta"), 1)}
			m.batch.frames = append(m.batch.frames, f)
		}
		if rapid.Bool().Draw(t, "mark") {
			m.batch.frames = append(m.batch.frames, frame{})
		}
	case 1:
		m.ack = &ack{stream: number.Draw(t, "stream"), next: number.Draw(t, "next"), missing: number.Draw(t, "missing"), until: number.Draw(t, "until")}
	case 2:
		m.sums = &sums{id: number.Draw(t, "id"), lo: number.Draw(t, "lo"), shift: uint8(rapid.IntRange(0, 64).Draw(t, "shift"))}
		room := math.MaxUint64>>m.sums.shift - m.sums.lo>>m.sums.shift
		for range 1 + rapid.Uint64Range(0, min(room, 20)).Draw(t, "sums") {
			m.sums.sums = append(m.sums.sums, number.Draw(t, "sum"))
		}
	case 3:
		m.pages = &pages{id: number.Draw(t, "id"), last: number.Draw(t, "last")}
		for range rapid.IntRange(0, 4).Draw(t, "segments") {
			s := segment{lo: number.Draw(t, "lo"), last: number.Draw(t, "last")}
			for range rapid.IntRange(0, 4).Draw(t, "entries") {
				s.entries = append(s.entries, keyHash{id.Draw(t, "key"), number.Draw(t, "hash")})
			}
			m.pages.segments = append(m.pages.segments, s)
		}
	case 4:
		m.digests = &digests{id: number.Draw(t, "id")}
		for range rapid.IntRange(0, 9).Draw(t, "items") {
			m.digests.items = append(m.digests.items, keyDigest{id.Draw(t, "key"), data.Draw(t, "digest")})
		}
	case 5:
		m.answers = &answers{id: number.Draw(t, "id")}
		for range rapid.IntRange(0, 9).Draw(t, "items") {
			m.answers.items = append(m.answers.items, answer{key: id.Draw(t, "key"), digest: data.Draw(t, "digest"),
				delta: data.Draw(t, "delta"), refused: rapid.Bool().Draw(t, "refused"), tooLarge: number.Draw(t, "size")})
		}
	}
	return m
}

func TestCodecRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		got, err := decode(m.encode())
		require.NoError(t, err)
		require.Equal(t, m, got)
	})
}

func TestCodecRefuses(t *testing.T) {
	t.Parallel()
	whole := (&message{to: 1, batch: &batch{stream: 1, base: 1, first: 1, frames: []frame{{key(1), []byte("x")}}}}).encode()
	for cut := range whole {
		_, err := decode(whole[:cut])
		require.Error(t, err, "cut at %d", cut)
	}
	for name, m := range map[string]*message{
		"stream 0":             {batch: &batch{base: 1, first: 1}},
		"base 0":               {batch: &batch{stream: 1, first: 1}},
		"base beyond first":    {batch: &batch{stream: 1, base: 3, first: 2}},
		"numbers wrap":         {batch: &batch{stream: 1, base: 1, first: math.MaxUint64, frames: make([]frame, 1)}},
		"frames after a mark":  {batch: &batch{stream: 1, base: 1, first: 1, frames: make([]frame, 2)}},
		"no sums":              {sums: &sums{}},
		"shift":                {sums: &sums{shift: 65, sums: make([]uint64, 1)}},
		"sums beyond the end":  {sums: &sums{shift: 64, sums: make([]uint64, 2)}},
		"sums beyond the end2": {sums: &sums{lo: math.MaxUint64, sums: make([]uint64, 2)}},
	} {
		_, err := decode(m.encode())
		require.Error(t, err, name)
	}
	two := append(whole, whole...)
	_, err := decode(two)
	require.ErrorIs(t, err, errBody)
}

// FuzzReceive feeds any bytes to a machine that is in the middle of everything.
func FuzzReceive(f *testing.F) {
	f.Add((&message{to: 1, batch: &batch{stream: 1, base: 1, first: 1, frames: []frame{{key(1), []byte{1, 1, 0}}, {}}}}).encode())
	f.Add((&message{to: 1, ack: &ack{stream: 1, next: 2, missing: 1}}).encode())
	f.Add((&message{to: 1, sums: &sums{id: 1, shift: 64, sums: []uint64{7}}}).encode())
	f.Add((&message{to: 1, pages: &pages{id: 1, last: math.MaxUint64, segments: []segment{{last: math.MaxUint64, entries: []keyHash{{key(2), 3}}}}}}).encode())
	f.Add((&message{to: 1, digests: &digests{id: 1, items: []keyDigest{{key(1), nil}}}}).encode())
	f.Add((&message{to: 1, answers: &answers{id: 2, items: []answer{{key: key(1), delta: []byte{9}}}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p := newPair(t)
		p.a.step(Local{key(1), p.a.set(key(1)).add(dot{1, 1}, "x")})
		p.a.step(Received{2, 1, b})
		p.a.step(Tick{})
		p.exchangeFor(200) // a neighbour that lied about its numbers may repeat itself for ever
		if m, err := decode(b); err == nil {
			again, err := decode(m.encode())
			require.NoError(t, err)
			require.Equal(t, m.encode(), again.encode())
		}
	})
}
