package crdt

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOnlyCanonicalBytesDecode: were one of these taken, equal states would have different bytes, or a
// state would hold what no history makes.
func TestOnlyCanonicalBytesDecode(t *testing.T) {
	t.Parallel()
	set := func(b []byte) error { _, err := DecodeSet(b, uintCodec()); return err }
	context := func(b []byte) error { _, err := DecodeContext(b); return err }
	counter := func(b []byte) error { _, err := DecodeCounter(b); return err }
	register := func(b []byte) error { _, err := DecodeRegister(b, stringCodec()); return err }
	regmap := func(b []byte) error { _, err := DecodeRegisterMap(b, stringCodec(), stringCodec()); return err }
	setOp := func(b []byte) error { _, err := DecodeSetOp(b, uintCodec()); return err }
	digest := func(b []byte) error { _, err := NewSet[uint64]().Since(b); return err }
	mapDigest := func(b []byte) error {
		_, err := NewRegisterMap(stringCodec(), stringCodec()).Since(b)
		return err
	}

	const v = "\x08\x01"
	const ctx = v + "\x12\x08\x0a\x06\x08\x01\x12\x02\x00\x04" // 1:1-5
	for _, c := range []struct {
		name   string
		decode func([]byte) error
		bytes  string
		reason string // "" when the bytes are good
	}{
		{"empty set", set, v, ""},
		{"no version", set, "", "version is missing"},
		{"later version", set, "\x08\x02", "version 2"},
		{"zero version", set, "\x08\x00", "left out"},
		{"long varint", set, "\x08\x81\x00", "longer"},
		{"unknown field", set, v + "\x48\x01", "unknown field 9"},
		{"field twice", set, v + v, "twice"},
		{"field 0", set, "\x00", "0 is no field number"},
		{"field 0 behind", counter, v + "\x00", "0 is no field number"},
		{"fields that descend", counter, "\x12\x00" + v, "version is missing"},
		{"wrong type", set, v + "\x10\x01", "wire type"},
		{"cut short", set, v + "\x12\x09\x0a", "cut short"},
		{"empty context", set, v + "\x12\x00", "left out"},
		{"context alone", set, ctx, ""},
		{"live dot", set, ctx + "\x1a\x08\x08\x01\x12\x01\x04\x1a\x01\x07", ""},
		{"live dot unseen", set, ctx + "\x1a\x08\x08\x01\x12\x01\x05\x1a\x01\x07", "not in the context"},
		{"live dot, no context", set, v + "\x1a\x08\x08\x01\x12\x01\x05\x1a\x01\x07", "not in the context"},
		{"dot without element", set, ctx + "\x1a\x05\x08\x01\x12\x01\x04", "fewer elements"},
		{"element without dot", set, ctx + "\x1a\x0b\x08\x01\x12\x01\x04\x1a\x01\x07\x1a\x01\x07", "more elements"},
		{"bad element", set, ctx + "\x1a\x07\x08\x01\x12\x01\x04\x1a\x00", "not a varint"},
		{"row without dots", set, ctx + "\x1a\x04\x08\x01\x12\x00", "no live dots"},
		{"row of nobody", set, ctx + "\x1a\x02\x12\x00", "actor is missing"},
		{"same actor twice", set, ctx + "\x1a\x08\x08\x01\x12\x01\x03\x1a\x01\x07\x1a\x08\x08\x01\x12\x01\x04\x1a\x01\x07", "actor 1 after actor 1"},
		{"actors out of order", context, "\x0a\x06\x08\x02\x12\x02\x00\x00\x0a\x06\x08\x01\x12\x02\x00\x00", "actor 1 after actor 2"},
		{"no runs", context, "\x0a\x04\x08\x01\x12\x00", "no runs"},
		{"half a run", context, "\x0a\x05\x08\x01\x12\x01\x00", "bad varint"},
		{"run past the last counter", context, "\x0a\x10\x08\x01\x12\x0c\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", "overflow"},
		{"empty counter row", counter, v + "\x12\x02\x08\x01", "without counts"},
		{"counter row", counter, v + "\x12\x04\x08\x01\x10\x05", ""},
		{"stamp without value", register, v + "\x10\x02", "without a value"},
		{"keys", regmap, v + "\x12\x03\x0a\x01a\x12\x03\x0a\x01b", ""},
		{"keys out of order", regmap, v + "\x12\x03\x0a\x01b\x12\x03\x0a\x01a", "not in order"},
		{"key twice", regmap, v + "\x12\x03\x0a\x01a\x12\x03\x0a\x01a", "not in order"},
		{"entry without key", regmap, v + "\x12\x02\x10\x02", "key is missing"},
		{"dots out of order", setOp, v + "\x22\x05\x08\x02\x12\x01\x00\x22\x05\x08\x01\x12\x01\x00", "actor 1 after actor 2"},
		{"block without state", digest, v + "\x1a\x03\x01\x00\x00", "state of 0 bytes"},
		{"block state cut short", digest, v + "\x1a\x04\x01\x00\x02\x00", "state of 2 bytes"},
		{"block of nobody", digest, v + "\x1a\x05\x00\x00\x02\x00\x00", "no such block"},
		{"too many buckets", mapDigest, v + "\x18\x3f", "buckets"},
		{"buckets missing", mapDigest, v + "\x18\x01", "missing"},
		{"buckets cut short", mapDigest, v + "\x18\x01\x22\x08\x00\x00\x00\x00\x00\x00\x00\x00", "1 words for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.decode([]byte(c.bytes))
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			var e *DecodeError
			require.True(t, errors.As(err, &e), "%v", err)
			require.ErrorContains(t, err, c.reason)
		})
	}
}

// A digest whose blocks are scattered has hashes, and they are compared over what both have seen: who only
// lags behind gets the new dots and nothing else.
func TestScatteredDigestsAnswerLagExactly(t *testing.T) {
	t.Parallel()
	a, m := NewSet[uint64](), &Minter{Actor: 1}
	for e := range uint64(200) {
		a.Add(m, e)
	}
	for e := uint64(0); e < 200; e += 2 {
		a.Remove(e)
	}
	b := a.Clone()
	delta := a.Add(m, 1000, 1001)
	answer, err := a.Since(b.Digest())
	require.NoError(t, err)
	require.True(t, answer.Equal(delta), "%v, want %v", answer, delta)

	a.Remove(1)
	answer, err = a.Since(b.Digest())
	require.NoError(t, err)
	require.Equal(t, 2, answer.Size(), "no element goes twice: %v", answer)
	b.Join(answer)
	require.True(t, a.Equal(b))
}

func TestOnlyCanonicalBytesOfRegistersDecode(t *testing.T) {
	t.Parallel()
	const v = "\x08\x01"
	const ctx = v + "\x12\x08\x0a\x06\x08\x01\x12\x02\x00\x04" // 1:1-5
	str := stringCodec()
	gset := func(b []byte) error { _, err := DecodeGSet(b, str); return err }
	two := func(b []byte) error { _, err := DecodeTwoPhaseSet(b, str); return err }
	hashes := func(b []byte) error { _, err := NewGSet(str).Since(b); return err }
	rw := func(b []byte) error { _, err := DecodeRWSet(b, str); return err }
	mv := func(b []byte) error { _, err := DecodeMVRegister(b, uintCodec()); return err }
	ew := func(b []byte) error { _, err := DecodeEWFlag(b); return err }
	dw := func(b []byte) error { _, err := DecodeDWFlag(b); return err }
	causal := func(b []byte) error { _, err := NewEWFlag().Since(b); return err }
	ivar := func(b []byte) error { _, err := DecodeIVar(b, str); return err }
	ivarDigest := func(b []byte) error { _, err := NewIVar(str).Since(b); return err }
	gflag := func(b []byte) error { _, err := DecodeGFlag(b); return err }
	most := func(b []byte) error { _, err := DecodeMaxRegister(b, uintCodec()); return err }
	rwOp := func(b []byte) error { _, err := DecodeRWSetOp(b, str); return err }
	mvOp := func(b []byte) error { _, err := DecodeMVRegisterOp(b, str); return err }
	flagOp := func(b []byte) error { _, err := DecodeFlagOp(b); return err }
	hlc := func(b []byte) error { _, err := DecodeHLC(b); return err }
	for _, c := range []struct {
		name   string
		decode func([]byte) error
		bytes  string
		reason string // "" when the bytes are good
	}{
		{"elements", gset, v + "\x12\x00\x12\x01a", ""},
		{"elements out of order", gset, v + "\x12\x01b\x12\x01a", "not in order"},
		{"element twice", gset, v + "\x12\x01b\x12\x01b", "not in order"},
		{"remove in a grow-only set", gset, v + "\x1a\x01b", "unknown field 3"},
		{"removes", two, v + "\x12\x01b\x1a\x01a", ""},
		{"added and removed", two, v + "\x12\x01b\x1a\x01b", "comes twice"},
		{"hashes out of order", hashes, v + "\x12\x10\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "not in order"},
		{"half a hash", hashes, v + "\x12\x04\x01\x00\x00\x00", "4 bytes"},
		{"no hash", hashes, v + "\x12\x00", "0 bytes"},
		{"buckets missing", hashes, v + "\x20\x01", "missing"},
		{"too many buckets", hashes, v + "\x20\x3f", "buckets"},
		{"too few buckets", hashes, v + "\x20\x02\x2a\x08\x00\x00\x00\x00\x00\x00\x00\x00", "1 words for 2^2"},
		{"digest field 6", hashes, v + "\x30\x01", "unknown"},
		{"mark", rw, ctx + "\x1a\x0a\x08\x01\x12\x01\x04\x1a\x03\x12\x01a", ""},
		{"mark without element", rw, ctx + "\x1a\x09\x08\x01\x12\x01\x04\x1a\x02\x08\x01", "element is missing"},
		{"mark field 3", rw, ctx + "\x1a\x09\x08\x01\x12\x01\x04\x1a\x02\x18\x01", "unknown"},
		{"removed is 2", rw, ctx + "\x1a\x0c\x08\x01\x12\x01\x04\x1a\x05\x08\x02\x12\x01a", "want 1"},
		{"a register's value", mv, ctx + "\x1a\x08\x08\x01\x12\x01\x04\x1a\x01\x07", ""},
		{"a register's bad value", mv, ctx + "\x1a\x07\x08\x01\x12\x01\x04\x1a\x00", "not a varint"},
		{"live enable", ew, ctx + "\x1a\x05\x08\x01\x12\x01\x04", ""},
		{"unseen enable", ew, ctx + "\x1a\x05\x08\x01\x12\x01\x05", "not in the context"},
		{"disable in an enable-wins flag", ew, ctx + "\x22\x05\x08\x01\x12\x01\x04", "unknown field 4"},
		{"live disable", dw, ctx + "\x22\x05\x08\x01\x12\x01\x04", ""},
		{"dot of both", dw, ctx + "\x1a\x05\x08\x01\x12\x01\x04\x22\x05\x08\x01\x12\x01\x04", "both enables and disables"},
		{"digest", causal, ctx + "\x1a\x05\x08\x01\x12\x01\x04", ""},
		{"digest of unseen dots", causal, ctx + "\x1a\x05\x08\x01\x12\x01\x05", "not in the context"},
		{"digest field 4", causal, ctx + "\x20\x01", "unknown"},
		{"conflict", ivar, v + "\x18\x01", ""},
		{"conflict with a value", ivar, v + "\x12\x01a\x18\x01", "with a value"},
		{"conflict 2", ivar, v + "\x18\x02", "want 1"},
		{"ivar field 4", ivar, v + "\x20\x02", "unknown"},
		{"digest of conflict with a value", ivarDigest, v + "\x11\x00\x00\x00\x00\x00\x00\x00\x00\x18\x01", "with a value"},
		{"ivar digest field 4", ivarDigest, v + "\x20\x02", "unknown"},
		{"off", gflag, v, ""},
		{"off, said", gflag, v + "\x10\x00", "left out"},
		{"flag field 3", gflag, v + "\x18\x01", "unknown"},
		{"largest", most, v + "\x12\x01\x05", ""},
		{"bad largest", most, v + "\x12\x00", "not a varint"},
		{"register field 3", most, v + "\x18\x01", "unknown"},
		{"set operation", rwOp, v + "\x12\x01a", ""},
		{"set operation field 5", rwOp, v + "\x28\x01", "unknown"},
		{"register operation field 5", mvOp, v + "\x28\x01", "unknown"},
		{"flag operation field 5", flagOp, v + "\x28\x01", "unknown"},
		{"clock field 5", hlc, v + "\x28\x01", "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.decode([]byte(c.bytes))
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			var e *DecodeError
			require.True(t, errors.As(err, &e), "%v", err)
			require.ErrorContains(t, err, c.reason)
		})
	}
	_, err := DecodeRWSet([]byte(ctx+"\x1a\x05\x08\x01\x12\x01\x04"), str)
	require.ErrorContains(t, err, "decode RWSet at", "errors name the type that was decoded")
	require.ErrorContains(t, err, "decode RWSet.Row at")
}
