package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// between returns a fabric of two silos, and both ends of a connection that silo 1 has dialled to silo 2.
func between(t *testing.T) (f *fabric, one, two net.Conn) {
	t.Helper()
	ports, err := freePorts(2)
	require.NoError(t, err)
	f, err = newFabric(1, ports)
	require.NoError(t, err)
	l, err := net.Listen("tcp", net.JoinHostPort(direct.String(), strconv.Itoa(ports[1][0])))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.close()); l.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	one, err = net.Dial("tcp", net.JoinHostPort(proxied(1, 2).String(), strconv.Itoa(ports[1][0])))
	require.NoError(t, err)
	select {
	case two = <-accepted:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection is not passed on")
	}
	t.Cleanup(func() { one.Close(); two.Close() })
	for _, c := range []net.Conn{one, two} {
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	}
	return f, one, two
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

func hear(t *testing.T, c net.Conn, text string) {
	t.Helper()
	b := make([]byte, len(text))
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, text, string(b))
}

// silent sees that nothing comes for a while.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
}

func TestProxyCutsOneDirection(t *testing.T) {
	t.Parallel()
	f, one, two := between(t)
	say(t, one, "there")
	hear(t, two, "there")
	f.cut(pair{1, 2})
	say(t, one, "held")
	silent(t, two)
	say(t, two, "back")
	hear(t, one, "back")
	f.mend(pair{1, 2}, false)
	hear(t, two, "held")

	f.cut(pair{2, 1})
	say(t, two, "answers")
	silent(t, one)
	say(t, one, "requests")
	hear(t, two, "requests")
	f.mend(pair{2, 1}, false)
	hear(t, one, "answers")
}

func TestProxyLosesWhatACutHeld(t *testing.T) {
	t.Parallel()
	f, one, two := between(t)
	f.cut(pair{1, 2})
	say(t, one, "lost")
	silent(t, two)
	f.mend(pair{1, 2}, true)
	for _, c := range []net.Conn{one, two} {
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is broken")
	}
}

func TestNobodyConnectsThroughACut(t *testing.T) {
	t.Parallel()
	f, one, _ := between(t)
	for _, p := range []pair{{1, 2}, {2, 1}} {
		f.cut(p)
		c, err := net.Dial("tcp", one.RemoteAddr().String())
		require.NoError(t, err) // the proxy's kernel accepts; nobody else has heard of it
		silent(t, c)
		f.mend(p, true)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		c.Close()
	}
}

func TestProxyKnowsNoWay(t *testing.T) {
	t.Parallel()
	f, one, two := between(t)
	f.shut(1, 2)
	for _, c := range []net.Conn{one, two} {
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is broken")
	}
	refused := func() bool {
		c, err := net.Dial("tcp", one.RemoteAddr().String())
		if err != nil {
			return true
		}
		defer c.Close()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		_, err = c.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	require.True(t, refused(), "at once")
	f.unshut(1, 2)
	require.False(t, refused())
}

func TestProxyDelaysAndKeepsOrder(t *testing.T) {
	t.Parallel()
	f, one, two := between(t)
	const delay = 60 * time.Millisecond
	f.slow(pair{1, 2}, delay, delay)
	begin := time.Now()
	say(t, one, "late")
	hear(t, two, "late")
	require.GreaterOrEqual(t, time.Since(begin), delay)
	f.slow(pair{1, 2}, 0, 3*time.Millisecond)
	r := rand.New(rand.NewPCG(1, 1))
	var sent []byte
	for range 300 {
		b := make([]byte, 1+r.IntN(3000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		sent = append(sent, b...)
	}
	go func() {
		for chunk := range slices.Chunk(sent, 1777) {
			if _, err := one.Write(chunk); err != nil {
				return
			}
		}
		_ = one.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(two)
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, got), "%d bytes sent, %d arrived", len(sent), len(got))
	say(t, two, "the other half is open")
	hear(t, one, "the other half is open")
}

func TestProxyPassesOnAReset(t *testing.T) {
	t.Parallel()
	_, one, two := between(t)
	require.NoError(t, two.(*net.TCPConn).SetLinger(0))
	require.NoError(t, two.Close())
	_, err := one.Read(make([]byte, 1))
	require.Error(t, err)
	require.False(t, errors.Is(err, os.ErrDeadlineExceeded))
}

func TestProxyHoldsASenderBack(t *testing.T) {
	t.Parallel()
	f, one, _ := between(t)
	f.cut(pair{1, 2})
	require.NoError(t, one.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
	n := 0
	for b := make([]byte, 1<<20); ; {
		m, err := one.Write(b)
		if n += m; err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			break
		}
		require.Less(t, n, 1<<30, "what is cut off is held without a bound")
	}
}

func TestNamesAreResolvedForEachSilo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		self int
		name string
		want string
	}{
		{1, "silo-2.chaos", "127.88.1.2"},
		{3, "silo-2.chaos", "127.88.3.2"},
		{2, "silo-2.chaos", "127.0.0.1"},
		{0, "silo-3.chaos", "127.0.0.1"},
	} {
		addrs, err := resolver(c.self).LookupHost(context.Background(), c.name)
		require.NoError(t, err)
		require.Equal(t, []string{c.want}, addrs)
	}
	for _, name := range []string{"silo-0.chaos", "silo-x.chaos", "silo-2.elsewhere", "example.org"} {
		_, err := resolver(1).LookupHost(context.Background(), name)
		var dns *net.DNSError
		require.ErrorAs(t, err, &dns, name)
		require.True(t, dns.IsNotFound, "%s: %v", name, err)
	}
}

func TestQueriesThatAreNone(t *testing.T) {
	t.Parallel()
	header := make([]byte, dnsHeader)
	for _, query := range [][]byte{nil, header[:5], header, append(slices.Clone(header), 5, 'a'), append(slices.Clone(header), 200), append(slices.Clone(header), 1, 'a', 0, 0)} {
		_, err := respond(query, 1)
		require.Error(t, err, "%v", query)
	}
}
