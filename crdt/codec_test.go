package crdt

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCodecsOfStringsAndIntegers(t *testing.T) {
	t.Parallel()
	type name string
	type level int8
	type port uint16
	requireCodec(t, StringCodec[name](), "", "a", "Grüße", "\xff\x00")
	requireCodec(t, IntCodec[level](), 0, 1, -1, math.MaxInt8, math.MinInt8)
	requireCodec(t, IntCodec[int64](), 0, 1, -1, math.MaxInt64, math.MinInt64)
	requireCodec(t, UintCodec[port](), 0, 1, 127, 128, math.MaxUint16)
	requireCodec(t, UintCodec[uint64](), 0, 1, math.MaxUint64)

	for b, reason := range map[string]string{
		"":                 "bad varint",
		"\x80":             "bad varint",
		"\x80\x00":         "longer than it need be",
		"\x01\x01":         "bytes left over",
		"\x80\x80\x80\x01": "out of range",
	} {
		_, err := IntCodec[level]().Decode([]byte(b))
		require.ErrorContains(t, err, reason, "%x", b)
		_, err = UintCodec[port]().Decode([]byte(b))
		require.ErrorContains(t, err, reason, "%x", b)
	}
}

func requireCodec[T comparable](t *testing.T, codec Codec[T], values ...T) {
	t.Helper()
	seen := map[string]bool{}
	for _, v := range values {
		b := codec.Append(nil, v)
		require.False(t, seen[string(b)], "%v", v)
		seen[string(b)] = true
		require.Equal(t, "before"+string(b), string(codec.Append([]byte("before"), v)))
		got, err := codec.Decode(b)
		require.NoError(t, err, "%v", v)
		require.Equal(t, v, got)
		require.Equal(t, v, codec.Copy(v))
	}
}
