package wire_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// A reader meets the fields that EachField does, and says the same of bytes that are none.
func FuzzReader(f *testing.F) {
	f.Add([]byte{})
	f.Add(wire.AppendString(wire.AppendInt(nil, 1, -5), 2, "x"))
	f.Add(wire.AppendFloat64(wire.AppendFloat32(nil, 15, float32(1.5)), 16, 2.5))
	f.Add([]byte{0x0b, 0x0c}) // a group
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{0x8a, 0x00, 0x01, 'x'}) // a tag that is longer than it must be
	f.Add(wire.AppendTime(nil, 1, time.Unix(-1, 5)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var tags []uint64
		want := wire.EachField(b, func(f wire.Field) error {
			tags = append(tags, uint64(f.Number)<<3|uint64(f.Type))
			return nil
		})
		r := wire.NewReader(b, nil)
		var got []uint64
		for tag := r.Next(); tag != 0; tag = r.Next() {
			r.Skip()
			if r.Err() == nil {
				got = append(got, tag)
			}
		}
		require.Equal(t, tags, got)
		require.Equal(t, want, r.Err())

		for what := range 12 { // whatever is read, however wrong, ends
			r := wire.NewReader(b, wire.Fields{{1<<3 | 2, "x"}})
			for r.Next() != 0 {
				read(&r, what)
			}
			if r.Err() != nil {
				require.Zero(t, r.Next())
				require.Empty(t, r.Text())
				require.Zero(t, r.Fixed64())
			}
		}
		_, _ = wire.TakeBytes[[]byte](b)
		_, _ = wire.TakeInt[int8](b)
		_, _ = wire.TakeFloat32[float32](b)
	})
}

func read(r *wire.Reader, what int) {
	switch what {
	case 0:
		r.Text()
	case 1:
		wire.ReadInt[int8](r)
	case 2:
		wire.ReadUint[uint16](r)
	case 3:
		r.Bool()
	case 4:
		r.Time()
	case 5:
		r.Float32()
	case 6:
		r.Float64()
	case 7:
		wire.ReadInts(r, []int16(nil))
	case 8:
		wire.ReadFloat64s(r, []float64(nil))
	case 9:
		wire.ReadMap(r, map[string]int(nil), wire.TakeString[string], wire.TakeInt[int])
	case 10:
		wire.More(r, []string(nil))[0] = r.Text()
	case 11:
		r.ByteArray(make([]byte, 3))
	}
}

// Room is made at once for all that follow, and no more than in proportion to their bytes.
func TestRoom(t *testing.T) {
	t.Parallel()
	var b []byte
	for range 100 {
		b = wire.AppendString(b, 1, "abcdefghijklmnop")
	}
	r := wire.NewReader(append(b, 1<<4, 1), nil)
	var all []string
	for range 100 {
		require.EqualValues(t, 1<<3|2, r.Next())
		all = append(wire.Room(&r, all), r.Text())
		require.GreaterOrEqual(t, cap(all), 100)
		require.Less(t, cap(all), 200)
	}

	small := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), nil)
	for range 10 {
		small = append(small, small...)
	}
	r = wire.NewReader(small, nil)
	r.Next()
	require.LessOrEqual(t, cap(wire.Room(&r, [][1 << 10]byte(nil))), 8, "elements that are large in memory and small on the wire")
}

func TestSealedLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 127, 128, 129, 1 << 14, 1<<14 - 1, 1 << 21} {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(i)
		}
		b := wire.Sealed(append([]byte("ab\x0a\x00"), want...), 4)
		got, used := protowire.ConsumeBytes(b[3:])
		require.Equal(t, len(b)-3, used)
		require.Equal(t, want, append([]byte{}, got...))
	}
	require.Equal(t, []byte("ab"), wire.SealedUnlessEmpty([]byte("ab\x0a\x00"), 2, 2))
}
