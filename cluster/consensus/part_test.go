package consensus

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a store remembers of one group is not what it remembers of another, and outlives its process.
func TestParts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := OpenStore(dir)
	require.NoError(t, err)
	_, _, err = s.FoundPart("ledger", nil)
	require.ErrorContains(t, err, "only founders")
	founders := []Server{{ID: s.ID(), Addr: "a:1"}}
	require.NoError(t, s.promise(founders))
	require.NoError(t, s.found(Founding{ClusterID: clusterOf(founders), Founders: founders}))

	p, id, err := s.FoundPart("ledger", founders)
	require.NoError(t, err)
	require.Equal(t, s.ID(), p.ID())
	require.Equal(t, PartOf(clusterOf(founders), "ledger"), id)
	f, ok := p.Founded()
	require.True(t, ok)
	require.Equal(t, id, f.ClusterID)
	require.NoError(t, p.change(func(st *storeState) { st.Begun = true }))
	require.False(t, s.now().Begun, "of the first group nothing is known")
	require.NoError(t, s.Close())

	s, err = OpenStore(dir)
	require.NoError(t, err)
	p, again, err := s.FoundPart("ledger", founders)
	require.NoError(t, err)
	require.Equal(t, id, again)
	require.True(t, p.now().Begun)
	same, err := s.Part("ledger")
	require.NoError(t, err)
	require.Same(t, p, same)
	require.NoError(t, s.Close())
}

// A part whose identity is gone and whose log is not, or that is another store's, is not begun anew.
func TestPartsThatAreDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := OpenStore(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "lost", "raft", "wal"), 0o755))
	var damaged *Damaged
	_, err = s.Part("lost")
	require.ErrorAs(t, err, &damaged)

	other, err := OpenStore(filepath.Join(dir, "theirs"))
	require.NoError(t, err)
	require.NoError(t, other.Close())
	_, err = s.Part("theirs")
	require.ErrorAs(t, err, &damaged)
	require.ErrorContains(t, err, other.ID())
}

// Connections go to the group that they name; those that name none, or say nothing, to nobody.
func TestPortIsShared(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := NewPort(l)
	one, two := port.Group(1), port.Group(2)
	require.Equal(t, l.Addr(), one.Addr())
	dial := func(group byte, text string) net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = c.Write(append([]byte{group}, text...))
		require.NoError(t, err)
		return c
	}
	heard := func(l net.Listener) string {
		c, err := l.Accept()
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		b := make([]byte, 5)
		_, err = io.ReadFull(c, b)
		require.NoError(t, err)
		return string(b)
	}
	dial(2, "to two")
	dial(1, "to one")
	require.Equal(t, "to on", heard(one))
	require.Equal(t, "to tw", heard(two))

	nobody := dial(9, "")
	require.NoError(t, nobody.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = nobody.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)

	require.NoError(t, one.Close())
	_, err = one.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	dial(2, "later")
	require.Equal(t, "later", heard(two), "the other group has the port still")
	require.NoError(t, two.Close())
	_, err = net.DialTimeout("tcp", l.Addr().String(), time.Second)
	require.Error(t, err, "the last one closes it")
}
