package actor

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor/certtest"
)

func authority(t *testing.T) *certtest.Authority {
	t.Helper()
	a, err := certtest.New(t.TempDir())
	require.NoError(t, err)
	return a
}

func issue(t *testing.T, a *certtest.Authority, name string, dns ...string) TLS {
	t.Helper()
	cert, key, err := a.Issue(name, dns...)
	require.NoError(t, err)
	return TLS{Cert: cert, Key: key, CA: a.File}
}

func guardOf(t *testing.T, cfg Config) *Guard {
	t.Helper()
	g, err := newGuard(cfg.withDefaults())
	require.NoError(t, err)
	return g
}

type shaken struct {
	dialled, accepted identity
	dial, accept      error
	near, far         net.Conn
}

// shake lets two guards begin a connection.
func shake(t *testing.T, dialler, acceptor *Guard) (s shaken) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	var both sync.WaitGroup
	both.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			s.accept = err
			return
		}
		var ch byte
		if s.far, ch, s.accepted, s.accept = acceptor.accept(conn); s.accept != nil {
			_ = conn.Close()
		} else if ch != byte(Bulk) {
			s.accept = errors.New("another channel")
		}
	})
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	if s.near, s.dialled, s.dial = dialler.dial(conn, byte(Bulk), time.Now().Add(3*time.Second)); s.dial != nil {
		_ = conn.Close()
	}
	both.Wait()
	return s
}

// Who is refused is called foreign at one end at least.
func TestWhoMayConnect(t *testing.T) {
	t.Parallel()
	ours, theirs := authority(t), authority(t)
	silo1, silo2 := issue(t, ours, "silo-1", DefaultSiloName), issue(t, ours, "silo-2", "x.example", DefaultSiloName)
	alice := issue(t, ours, "alice")
	stranger := issue(t, theirs, "silo-1", DefaultSiloName)
	nameless := issue(t, ours, "silo-3", "silo.other")
	ownName := func(t TLS) TLS { t.SiloName = "silo.other"; return t }
	for _, c := range []struct {
		what              string
		dialler, acceptor Config
		dialled, accepted identity
		foreign           string // part of the dialler's or the acceptor's refusal; empty: welcome
	}{
		{"two silos, nothing to show", Config{Silo: true}, Config{Silo: true}, identity{silo: true}, identity{silo: true}, ""},
		{"a client", Config{}, Config{Silo: true}, identity{silo: true}, identity{}, ""},
		{"the secret", Config{Silo: true, Secret: "s"}, Config{Silo: true, Secret: "s"}, identity{silo: true}, identity{silo: true}, ""},
		{"another secret", Config{Silo: true, Secret: "t"}, Config{Silo: true, Secret: "s"}, identity{}, identity{}, "secret"},
		{"no secret", Config{Silo: true}, Config{Silo: true, Secret: "s"}, identity{}, identity{}, "secret"},
		{"a silo without the secret answers", Config{Silo: true, Secret: "s"}, Config{Silo: true}, identity{}, identity{}, "secret"},
		{"a client needs no secret", Config{}, Config{Silo: true, Secret: "s"}, identity{silo: true}, identity{}, ""},
		{"a silo reaches a client", Config{Silo: true, Secret: "s"}, Config{}, identity{}, identity{silo: true}, ""},
		{"certificates", Config{Silo: true, TLS: silo1}, Config{Silo: true, TLS: silo2}, identity{true, "silo-2"}, identity{true, "silo-1"}, ""},
		{"a client's certificate", Config{TLS: alice}, Config{Silo: true, TLS: silo1}, identity{true, "silo-1"}, identity{false, "alice"}, ""},
		{"a silo reaches a client by certificates", Config{Silo: true, TLS: silo1}, Config{TLS: alice}, identity{false, "alice"}, identity{true, "silo-1"}, ""},
		{"a silo's certificate in a client", Config{TLS: silo1}, Config{Silo: true, TLS: silo2}, identity{true, "silo-2"}, identity{false, "silo-1"}, ""},
		{"a client's certificate says silo", Config{Silo: true, TLS: alice}, Config{Silo: true, TLS: silo1}, identity{}, identity{}, "does not bear"},
		{"a client's certificate answers as silo", Config{Silo: true, TLS: silo1}, Config{Silo: true, TLS: alice}, identity{}, identity{}, "does not bear"},
		{"another name of silos", Config{Silo: true, TLS: ownName(nameless)}, Config{Silo: true, TLS: ownName(nameless)}, identity{true, "silo-3"}, identity{true, "silo-3"}, ""},
		{"names that differ", Config{Silo: true, TLS: silo1}, Config{Silo: true, TLS: ownName(nameless)}, identity{}, identity{}, "does not bear"},
		{"another authority dials", Config{Silo: true, TLS: stranger}, Config{Silo: true, TLS: silo1}, identity{}, identity{}, "not one of this cluster's"},
		{"another authority, a client", Config{TLS: issue(t, theirs, "eve")}, Config{Silo: true, TLS: silo1}, identity{}, identity{}, "not one of this cluster's"},
		{"another authority answers", Config{Silo: true, TLS: silo1}, Config{Silo: true, TLS: stranger}, identity{}, identity{}, "not one of this cluster's"},
		{"no TLS there", Config{Silo: true, TLS: silo1}, Config{Silo: true}, identity{}, identity{}, "TLS"},
		{"no TLS here", Config{Silo: true}, Config{Silo: true, TLS: silo1}, identity{}, identity{}, "TLS"},
		{"certificates and another secret", Config{Silo: true, TLS: silo1, Secret: "t"}, Config{Silo: true, TLS: silo2, Secret: "s"}, identity{}, identity{}, "secret"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			acceptor := guardOf(t, c.acceptor)
			s := shake(t, guardOf(t, c.dialler), acceptor)
			var foreign *Foreign
			if c.foreign == "" {
				require.NoError(t, s.dial)
				require.NoError(t, s.accept)
				require.Equal(t, c.dialled, s.dialled)
				require.Equal(t, c.accepted, s.accepted)
				require.EqualValues(t, 1, acceptor.open.Load())
				_, err := s.near.Write([]byte("x"))
				require.NoError(t, err)
				_, err = io.ReadFull(s.far, make([]byte, 1))
				require.NoError(t, err)
				require.NoError(t, s.far.Close())
				_ = s.far.Close()
			} else {
				require.Error(t, errors.Join(s.dial, s.accept))
				require.ErrorAs(t, errors.Join(s.dial, s.accept), &foreign)
				require.Contains(t, errors.Join(s.dial, s.accept).Error(), c.foreign)
			}
			require.Zero(t, acceptor.open.Load())
		})
	}
}

// Certificates are read again when their files change; what cannot be read
// leaves those before it in use.
func TestCertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	old, next := authority(t), authority(t)
	files := issue(t, old, "silo", DefaultSiloName)
	var log bytes.Buffer
	acceptor := guardOf(t, Config{Silo: true, TLS: files, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	withOld := guardOf(t, Config{TLS: issue(t, old, "alice")})
	withNext := guardOf(t, Config{TLS: issue(t, next, "alice")})
	require.NoError(t, shake(t, withOld, acceptor).accept)
	require.ErrorAs(t, shake(t, withNext, acceptor).accept, new(*Foreign))

	require.NoError(t, os.WriteFile(files.Key, []byte("half written"), 0o600))
	require.NoError(t, shake(t, withOld, acceptor).accept)
	require.Contains(t, log.String(), "stay in use")

	fresh := issue(t, next, "silo-2", DefaultSiloName)
	for from, to := range map[string]string{fresh.Cert: files.Cert, fresh.Key: files.Key, fresh.CA: files.CA} {
		b, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, b, 0o600))
	}
	s := shake(t, withNext, acceptor)
	require.NoError(t, s.dial)
	require.NoError(t, s.accept)
	require.Equal(t, identity{true, "silo-2"}, s.dialled)
	require.ErrorAs(t, shake(t, withOld, acceptor).accept, new(*Foreign))
}

func TestTLSThatCannotWork(t *testing.T) {
	t.Parallel()
	a := authority(t)
	good, other := issue(t, a, "silo"), issue(t, a, "other")
	for field, files := range map[string]TLS{
		"TLS.Key":   {Cert: good.Cert, CA: good.CA},
		"TLS.CA":    {Cert: good.Cert, Key: good.Key},
		"TLS.Cert":  {CA: good.CA},
		"other.key": {Cert: good.Cert, Key: other.Key, CA: good.CA},
		"no.pem":    {Cert: good.Cert, Key: good.Key, CA: "no.pem"},
		good.Key:    {Cert: good.Cert, Key: good.Key, CA: good.Key},
	} {
		require.ErrorContains(t, files.Check(), field)
		_, err := Start(Config{Addr: "127.0.0.1:0", TLS: files})
		require.ErrorContains(t, err, field)
	}
	require.NoError(t, good.Check())
	require.NoError(t, TLS{}.Check())
}

// One connection more than the bound is refused by type, and let in once
// another has gone.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	acceptor := guardOf(t, Config{Silo: true, Connections: 2})
	dialler := guardOf(t, Config{Silo: true})
	first, second := shake(t, dialler, acceptor), shake(t, dialler, acceptor)
	require.NoError(t, errors.Join(first.dial, first.accept, second.dial, second.accept))
	third := shake(t, dialler, acceptor)
	for _, err := range []error{third.dial, third.accept} {
		var reached *LimitReached
		require.ErrorAs(t, err, &reached)
		require.Equal(t, 2, reached.Limit)
		require.ErrorIs(t, err, ErrNotExecuted)
	}
	require.NoError(t, first.far.Close())
	require.NoError(t, shake(t, dialler, acceptor).accept)

	// Clients leave room for silos.
	crowded := guardOf(t, Config{Silo: true, Connections: 8})
	for range 7 {
		require.NoError(t, shake(t, guardOf(t, Config{}), crowded).accept)
	}
	var reached *LimitReached
	require.ErrorAs(t, shake(t, guardOf(t, Config{}), crowded).dial, &reached)
	require.Equal(t, 7, reached.Limit)
	require.NoError(t, shake(t, dialler, crowded).accept)

	// Over the whole way.
	n, peer := local(t), spawnWith(t, "127.0.0.1:0", childConfig{Connections: 2}).addr
	for _, ch := range []Channel{Calls, Control} {
		_, err := n.Request(t.Context(), peer, on(ch, echo), nil)
		require.NoError(t, err)
	}
	for _, ch := range []Channel{Dissemination, Bulk} {
		_, err := n.Request(t.Context(), peer, on(ch, echo), nil)
		var reached *LimitReached
		require.ErrorAs(t, err, &reached)
		require.ErrorIs(t, err, ErrNotExecuted)
		require.Equal(t, 2, reached.Limit)
	}
}

// A node without certificates cannot reach one that has them, by type; it
// loses nothing but that.
func TestForeignPeersAreRefusedByType(t *testing.T) {
	t.Parallel()
	n := local(t)
	for what, cfg := range map[string]childConfig{
		"certificates": {Silo: true, TLS: issue(t, authority(t), "silo", DefaultSiloName)},
	} {
		peer := spawnWith(t, "127.0.0.1:0", cfg).addr
		for ch := range channels {
			_, err := n.Request(t.Context(), peer, on(ch, echo), nil)
			require.ErrorAs(t, err, new(*Foreign), what)
			require.ErrorIs(t, err, ErrNotExecuted, what)
		}
	}
	_, err := n.RequestPeer(t.Context(), Peer{Addr: spawn(t, "127.0.0.1:0").addr, Silo: true}, echo, nil)
	require.ErrorAs(t, err, new(*Foreign), "it has not shown to be a silo")
	peer := spawnWith(t, "127.0.0.1:0", childConfig{Silo: true}).addr
	for ch := range channels {
		re, err := n.RequestPeer(t.Context(), Peer{Addr: peer, Silo: true}, on(ch, whoami), nil)
		require.NoError(t, err)
		require.Equal(t, `silo false principal ""`, string(re))
	}
}

// A client's connection must not speak in a silo's name, nor answer for one.
func TestNobodySpeaksForASilo(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t, Config{Silo: true}, Config{Silo: true})
	testServices(a)
	testServices(b)
	a.reached("b", Calls, identity{silo: true})
	c := &call{to: Peer{Addr: "b"}, service: echo, answer: make(chan answer, 1)}
	c.begun.Store(true)
	a.calls.add(77, c)
	arrived := &arrival{env: Envelope{Codec: codec, Kind: Kind_KIND_REPLY, Id: 77, Service: uint32(echo), Sender: "eve", SenderIncarnation: 1}}
	reply := &arrived.env
	a.receive(arrived, origin{identity: identity{principal: "eve"}, channel: Calls})
	require.Empty(t, c.answer)
	before := a.Dropped()
	reply.Sender = "b"
	a.receive(arrived, origin{identity: identity{principal: "eve"}, channel: Calls})
	require.Empty(t, c.answer)
	require.Equal(t, before+1, a.Dropped())
	reply.SenderIncarnation = b.Incarnation()
	a.receive(arrived, origin{identity: identity{silo: true}, channel: Calls})
	require.NoError(t, (<-c.answer).err)
}

// Who answers as a silo must know the secret too: neither nothing nor the
// dialler's own proof sent back will do.
func TestAcceptorsProveThemselves(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]func(proof []byte) []byte{
		"nothing":   func(p []byte) []byte { return make([]byte, len(p)) },
		"reflected": func(p []byte) []byte { return p },
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.ReadFull(conn, make([]byte, len(greeting)+2+nonceSize))
			_, _ = conn.Write(append([]byte{verdictWelcome, roleSilo}, make([]byte, nonceSize)...))
			proof := make([]byte, 32)
			_, _ = io.ReadFull(conn, proof)
			_, _ = conn.Write(append([]byte{verdictWelcome}, answer(proof)...))
		}()
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, _, err = guardOf(t, Config{Silo: true, Secret: "s"}).dial(conn, byte(Calls), time.Now().Add(3*time.Second))
		require.ErrorAs(t, err, new(*Foreign), what)
	}
}
