package actor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

func drawEnvelope(t *rapid.T) *Envelope {
	return &Envelope{
		Codec:             rapid.Uint32().Draw(t, "codec"),
		Kind:              Kind(rapid.Int32().Draw(t, "kind")),
		Id:                rapid.Uint64().Draw(t, "id"),
		Service:           rapid.Uint32().Draw(t, "service"),
		Sender:            rapid.String().Draw(t, "sender"),
		SenderIncarnation: rapid.Uint64().Draw(t, "sender incarnation"),
		TargetIncarnation: rapid.Uint64().Draw(t, "target incarnation"),
		Remaining:         rapid.Int64().Draw(t, "remaining"),
		Status:            Status(rapid.Int32().Draw(t, "status")),
		Payload:           rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
		Text:              rapid.String().Draw(t, "text"),
		Size:              rapid.Uint64().Draw(t, "size"),
		Limit:             rapid.Uint64().Draw(t, "limit"),
	}
}

func TestEnvelopesAreEncodedAsProtobufDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		env := drawEnvelope(t)
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(env)
		require.NoError(t, err)
		b := appendEnvelope(nil, env)
		require.Equal(t, string(want), string(b))
		got := &Envelope{Text: "of the one before", Payload: []byte{1}}
		require.NoError(t, decodeEnvelope(got, b, rapid.SampledFrom([]string{"", env.Sender, "other"}).Draw(t, "known")))
		require.True(t, proto.Equal(env, got), "%v\n%v", env, got)
		bare := proto.Clone(env).(*Envelope)
		bare.Payload = nil
		got = new(Envelope)
		env.bare(got)
		require.True(t, proto.Equal(bare, got))
	})
}

// likeProtobuf compares what both make of any bytes.
func likeProtobuf(t require.TestingT, b []byte, known string) {
	want, got := new(Envelope), new(Envelope)
	err := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, want)
	ours := decodeEnvelope(got, b, known)
	if err != nil {
		require.Error(t, ours, "%x: %v", b, err)
		return
	}
	require.NoError(t, ours, "%x", b)
	require.True(t, proto.Equal(want, got), "%x\n%v\n%v", b, want, got)
}

func TestEnvelopesAreDecodedAsProtobufDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := appendEnvelope(nil, drawEnvelope(t))
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			switch rapid.IntRange(0, 4).Draw(t, "change") {
			case 0: // a byte is another
				if len(b) > 0 {
					b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
				}
			case 1: // the end is missing
				b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")]
			case 2: // a field of a later version, or one of ours in another form
				b = protowire.AppendTag(b, protowire.Number(rapid.Int32Range(1, 20).Draw(t, "field")), protowire.Type(rapid.Int32Range(0, 7).Draw(t, "type")))
				b = append(b, rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "bytes")...)
			case 3: // a field comes twice
				b = appendEnvelope(b, drawEnvelope(t))
			case 4:
				b = append(b, rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "bytes")...)
			}
		}
		likeProtobuf(t, b, "")
	})
}

func FuzzEnvelope(f *testing.F) {
	f.Add(appendEnvelope(nil, &Envelope{Codec: 1, Kind: Kind_KIND_REQUEST, Id: 7, Service: 3, Sender: "a:1", SenderIncarnation: 9, Remaining: -1, Payload: []byte("x")}))
	f.Add(appendEnvelope(nil, &Envelope{Codec: 1, Kind: Kind_KIND_REPLY, Id: 1 << 60, Status: Status_STATUS_FAILED, Text: "no", Size: 1, Limit: 2}))
	// A group, a text that is not UTF-8, a varint that is too long, a number beyond those of fields.
	f.Add([]byte{0x0b, 0x0c})
	f.Add([]byte{0x2a, 0x01, 0xff})
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02})
	f.Add([]byte("\x80\x80\x80\x800\x80\x800"))
	f.Fuzz(func(t *testing.T, b []byte) {
		likeProtobuf(t, b, "")
		likeProtobuf(t, b, "a:1")
	})
}
