package link

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// What the two messages of a plain call cost, 100 bytes each way.
func BenchmarkMessages(b *testing.B) {
	req := CallRequest{To: wire.NewID("shop.Counter", "counter-17"), Method: 3, Args: make([]byte, 104), Root: wire.BlockID{Client: 1 << 40, Seq: 1 << 20}}
	reply := CallReply{Status: StatusOK, Result: make([]byte, 104)}
	b.Run("request/append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			req.Append(nil)
		}
	})
	b.Run("request/decode", func(b *testing.B) {
		b.ReportAllocs()
		bytes := req.Append(nil)
		for b.Loop() {
			_, err := DecodeCallRequest(bytes)
			require.NoError(b, err)
		}
	})
	b.Run("reply/append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			reply.Append(nil)
		}
	})
	b.Run("reply/decode", func(b *testing.B) {
		b.ReportAllocs()
		bytes := reply.Append(nil)
		for b.Loop() {
			_, err := DecodeCallReply(bytes)
			require.NoError(b, err)
		}
	})
}
