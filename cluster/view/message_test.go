package view

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzMessages(f *testing.F) {
	a, b := Run{"a", 1}, Run{"b", 2}
	f.Add(Probe{Ping, 1, a, b, Run{}}.Append(nil))
	f.Add(Probe{Help, 1 << 40, a, b, Run{"c", 3}}.Append(nil))
	f.Add(Vote{a, b, true}.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := DecodeProbe(data); err == nil {
			require.Equal(t, data, p.Append(nil))
		} else {
			require.ErrorIs(t, err, ErrMalformed)
		}
		if v, err := DecodeVote(data); err == nil {
			require.Equal(t, data, v.Append(nil))
		} else {
			require.ErrorIs(t, err, ErrMalformed)
		}
	})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	a, b := Run{"a", 1}, Run{"b", 2}
	p := Probe{Nack, 7, a, b, Run{"c", 3}}
	got, err := DecodeProbe(p.Append(nil))
	require.NoError(t, err)
	require.Equal(t, p, got)
	v := Vote{a, b, true}
	vote, err := DecodeVote(v.Append(nil))
	require.NoError(t, err)
	require.Equal(t, v, vote)
	_, err = DecodeProbe(Probe{ProbeKind(9), 7, a, b, a}.Append(nil))
	require.ErrorIs(t, err, ErrMalformed)
}
