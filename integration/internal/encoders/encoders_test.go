package encoders

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/martinelli-go/martinelli/integration/internal/encoders/mixed"
)

// What the generated encoder writes, package proto reads, and the other way round, byte for byte.
func TestProtoReadsIt(t *testing.T) {
	t.Parallel()
	order, message := Example()
	b := Codec().Append(nil, order)
	got := &mixed.OrderMessage{}
	require.NoError(t, proto.Unmarshal(b, got))
	require.True(t, proto.Equal(message, got))
	theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	require.NoError(t, err)
	require.Equal(t, theirs, b)
	back, err := Codec().Decode(theirs)
	require.NoError(t, err)
	require.Equal(t, order, back)
}

// Encoding allocates its result and nothing else.
func TestEncodingAllocatesOnce(t *testing.T) {
	require.EqualValues(t, 1, testing.AllocsPerRun(1000, func() { Encode(1) }))
	b := make([]byte, 0, 1<<10)
	require.Zero(t, testing.AllocsPerRun(1000, func() { codec.Append(b, order) }))
}

func benchmark(b *testing.B, f func(n int) int) {
	b.ReportAllocs()
	b.SetBytes(int64(len(encoded)))
	f(b.N)
}

func BenchmarkEncode(b *testing.B)      { benchmark(b, Encode) }
func BenchmarkEncodeProto(b *testing.B) { benchmark(b, ProtoEncode) }
func BenchmarkDecode(b *testing.B)      { benchmark(b, Decode) }
func BenchmarkDecodeProto(b *testing.B) { benchmark(b, ProtoDecode) }
