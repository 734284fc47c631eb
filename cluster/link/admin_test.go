package link

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/cluster/view"
)

var (
	adminRequest = &AdminRequest{Op: AdminInit, Silo: "s", Force: true, Passed: true, Addrs: []string{"a:1", "", "b:1"}}
	adminReply   = &AdminReply{Status: AdminMember, Detail: "no", Silo: "s", Addr: "a:1", Cluster: "c", Waiting: true}
)

func TestAdminTravels(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 20, -1)
		req := &AdminRequest{
			Op: AdminOp(rapid.IntRange(1, 4).Draw(t, "op")), Silo: view.SiloID(text.Draw(t, "silo")), Force: rapid.Bool().Draw(t, "force"),
			Passed: rapid.Bool().Draw(t, "passed"), Addrs: rapid.SliceOfN(text, 1, 5).Draw(t, "addrs"),
		}
		got, err := DecodeAdminRequest(req.Append(nil))
		require.NoError(t, err)
		require.Equal(t, req, got)
		reply := &AdminReply{
			Status: AdminStatus(rapid.IntRange(1, 9).Draw(t, "status")), Detail: text.Draw(t, "detail"), Silo: view.SiloID(text.Draw(t, "silo")),
			Addr: text.Draw(t, "addr"), Cluster: text.Draw(t, "cluster"), Waiting: rapid.Bool().Draw(t, "waiting"),
		}
		back, err := DecodeAdminReply(reply.Append(nil))
		require.NoError(t, err)
		require.Equal(t, reply, back)
	})
}

func TestAdminIsDecodedStrictly(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxAdminText+1)
	for what, b := range map[string][]byte{
		"nothing":            nil,
		"no operation":       (&AdminRequest{Silo: "s"}).Append(nil),
		"another operation":  (&AdminRequest{Op: AdminInit + 1}).Append(nil),
		"a long id":          (&AdminRequest{Op: AdminDrain, Silo: view.SiloID(long)}).Append(nil),
		"a long address":     (&AdminRequest{Op: AdminInit, Addrs: []string{long}}).Append(nil),
		"too many addresses": (&AdminRequest{Op: AdminInit, Addrs: make([]string, maxFounders+1)}).Append(nil),
		"twice the same":     slices.Concat(adminRequest.Append(nil), adminRequest.Append(nil)),
		"an unknown field":   appendUint(adminRequest.Append(nil), 6, 1),
		"a byte too few":     adminRequest.Append(nil)[:4],
	} {
		_, err := DecodeAdminRequest(b)
		require.Error(t, err, what)
	}
	for what, b := range map[string][]byte{
		"nothing":          nil,
		"another status":   (&AdminReply{Status: AdminList + 1}).Append(nil),
		"a long address":   (&AdminReply{Status: AdminOK, Addr: long}).Append(nil),
		"an unknown field": appendUint(adminReply.Append(nil), 7, 1),
	} {
		_, err := DecodeAdminReply(b)
		require.Error(t, err, what)
	}
}

func FuzzAdmin(f *testing.F) {
	f.Add(adminRequest.Append(nil))
	f.Add(adminReply.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeAdminRequest(b); err == nil {
			require.True(t, bytes.Equal(b, r.Append(nil)))
		}
		if r, err := DecodeAdminReply(b); err == nil {
			require.True(t, bytes.Equal(b, r.Append(nil)))
		}
	})
}
