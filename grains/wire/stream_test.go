package wire

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

func FuzzStream(f *testing.F) {
	codec := StringCodec[string]()
	b := appendItem(nil, "a", nil, false, codec, nil)
	b = appendItem(b, "", errors.New("b"), false, codec, nil)
	f.Add((&batch[string]{encoded: b, end: true, detail: "c"}).append(nil))
	f.Add((&batch[string]{status: batchLost}).append(nil))
	f.Add(pull{id: 1, seq: 2, want: 3, over: true}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodePull(b); err == nil {
			again, err := decodePull(p.append(nil))
			p.args = nil
			if err != nil || again.id != p.id || again.seq != p.seq || again.want != p.want || again.over != p.over || p.want > mostBatch {
				t.Fatalf("%+v became %+v: %v", p, again, err)
			}
		}
		got, err := decodeBatch(b, codec, nil)
		if err == nil && len(got.items) > mostBatch {
			t.Fatalf("a batch of %d", len(got.items))
		}
	})
}

func FuzzValues(f *testing.F) {
	ctx := WithValue(WithValue(context.Background(), "b", "2"), "a", "1")
	f.Add(ValuesOf(ctx).Append(nil, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = EachField(b, func(field Field) error {
			v, err := DecodeValues(field)
			if err != nil {
				return nil
			}
			if v.over() {
				t.Fatal("more than may travel was taken")
			}
			_ = EachField(v.Append(nil, 1), func(f Field) error {
				again, err := DecodeValues(f)
				if err != nil || !bytes.Equal(again.Append(nil, 1), v.Append(nil, 1)) {
					t.Fatalf("%v became %v: %v", v, again, err)
				}
				return nil
			})
			return nil
		})
	})
}

// The newest value of a name counts, and others are as they were where they were made.
func TestValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ctx, want := t.Context(), map[string]string{}
		text := rapid.StringN(0, 3, 5)
		for range rapid.IntRange(0, 20).Draw(t, "values") {
			name, v := text.Draw(t, "name"), text.Draw(t, "text")
			before := ValuesOf(ctx).Append(nil, 1)
			next := WithValue(ctx, name, v)
			require.Equal(t, before, ValuesOf(ctx).Append(nil, 1))
			ctx, want[name] = next, v
		}
		size := 0
		for name, v := range want {
			got, ok := ValueOf(ctx, name)
			require.True(t, ok)
			require.Equal(t, v, got)
			size += len(name) + len(v)
		}
		if had := ValuesOf(ctx); had != nil {
			require.Equal(t, size, had.size)
			require.Len(t, had.all, len(want))
		}
	})
}

func TestHostileValuesAreRefused(t *testing.T) {
	t.Parallel()
	one := func(name, text string) []byte {
		return AppendString(AppendString(nil, 1, name), 2, text)
	}
	decode := func(values ...[]byte) (v *Values, err error) {
		var b []byte
		for _, m := range values {
			b = appendMessage(b, 1, m)
		}
		err = EachField(appendMessage(nil, protowire.Number(15), b), func(f Field) error {
			v, err = DecodeValues(f)
			return err
		})
		return v, err
	}
	_, err := decode(one("a", "1"), one("b", "2"))
	require.NoError(t, err)
	_, err = decode(one("a", "1"), one("a", "2"))
	require.Error(t, err, "a name that comes twice")
	_, err = decode(one("a", strings.Repeat("x", MaxValueBytes)))
	require.Error(t, err)
	var many [][]byte
	for i := range MaxValues + 1 {
		many = append(many, one(strings.Repeat("n", i), ""))
	}
	_, err = decode(many...)
	require.Error(t, err)
}

// streamer is a grain, and the host of its streams.
type streamer struct {
	AtCaller
	Engine
	streams *Streams
}

func (s *streamer) Streams() *Streams                                { return s.streams }
func (s *streamer) Panicked(string, any, []byte) error               { return ErrPanic }
func (s *streamer) Aside(_ context.Context, wait func() error) error { return wait() }
func (s *streamer) Yielded(context.Context) error                    { return nil }
func (s *streamer) Call(context.Context, ID, Invocation) error       { return ErrUnsupported }

func newStreamer() *streamer {
	s := &streamer{streams: NewStreams(0, func() {})}
	s.AtCaller = NewCaller(s)
	return s
}

var counting = StreamMethod[struct{}, int64]{
	Name: "Count", Args: EmptyCodec, Element: IntCodec[int64](),
	Do: func(context.Context, any, struct{}) iter.Seq2[int64, error] {
		return func(yield func(int64, error) bool) {
			for n := int64(0); n < 100 && yield(n, nil); n++ {
			}
		}
	},
}

// pulled is what a pull brings.
func (s *streamer) pulled(t *testing.T, p pull) batch[int64] {
	b, err := counting.Serve(t.Context(), s, p.append(nil), nil)
	require.NoError(t, err)
	got, err := decodeBatch(b, counting.Element, nil)
	require.NoError(t, err)
	return got
}

// A batch that is asked for again is the same; what comes neither next nor again is refused.
func TestABatchIsKeptForItsReader(t *testing.T) {
	t.Parallel()
	s := newStreamer()
	t.Cleanup(s.streams.Close)
	require.Equal(t, batchLost, s.pulled(t, pull{id: 1, seq: 1, want: 5}).status, "nobody has opened it")
	first := s.pulled(t, pull{id: 1, want: 5})
	require.Len(t, first.items, 5)
	require.Equal(t, first, s.pulled(t, pull{id: 1, want: 5}))
	second := s.pulled(t, pull{id: 1, seq: 1, want: 5})
	require.EqualValues(t, 5, second.items[0].value)
	require.Equal(t, second, s.pulled(t, pull{id: 1, seq: 1, want: 5}))
	for _, seq := range []uint64{0, 3, 1 << 63} {
		require.Equal(t, batchLost, s.pulled(t, pull{id: 1, seq: seq, want: 5}).status)
	}
	require.Equal(t, 1, s.streams.Open())
	require.True(t, s.pulled(t, pull{id: 1, over: true}).end)
	require.True(t, s.streams.Empty())
	require.Equal(t, batchLost, s.pulled(t, pull{id: 1, seq: 2, want: 5}).status)

	broken := newStreamer()
	t.Cleanup(broken.streams.Close)
	broken.streams.forget = true
	again := broken.pulled(t, pull{id: 1, want: 5})
	require.NotEqual(t, again, broken.pulled(t, pull{id: 1, want: 5}), "nothing notices that elements get lost")
}

// The last batch is there for a while; how many such there are is bounded.
func TestStreamsThatHaveEndedAreForgotten(t *testing.T) {
	t.Parallel()
	s := newStreamer()
	t.Cleanup(s.streams.Close)
	for id := range uint64(20) {
		at := pull{id: id + 1, want: 60}
		last := s.pulled(t, at)
		for !last.end { // a batch that takes its time is cut short
			at.seq++
			last = s.pulled(t, at)
		}
		require.Equal(t, last, s.pulled(t, at))
	}
	require.Zero(t, s.streams.Open())
	require.Len(t, s.streams.all, mostEnded)
}
