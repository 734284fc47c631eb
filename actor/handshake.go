package actor

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A connection begins, inside TLS where there is any, with
//
//	dialler:  greeting, channel (1 byte), role (1), nonce (16)
//	acceptor: verdict (1), role (1), nonce (16)
//	dialler:  proof (32)
//	acceptor: verdict (1), proof (32)
//
// A proof is the HMAC-SHA256, under the cluster's secret, of who gives it, the
// channel, both roles and both nonces. Silos look at silos': a client has no
// secret, proves nothing and can check nothing. Without a secret the key is
// empty.
const (
	greeting      = "martinelli\x02" // and the version of what follows
	nonceSize     = 16
	handshakeTime = 5 * time.Second
)

// Roles.
const (
	roleClient byte = iota
	roleSilo
)

// Verdicts.
const (
	verdictWelcome byte = iota + 1
	verdictFull
	verdictSecret
	verdictCertificate
	verdictGreeting
)

// logChannel is the channel of connections that are not a node's: [Guard.Dial].
const logChannel = 0xff

// Foreign says that the node at the other end of a connection is not one of
// ours, or takes us for a foreigner. Nothing was sent, and none of it passes by
// itself.
type Foreign struct {
	Addr   string
	Reason string
	Cause  error
}

func (e *Foreign) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Addr, e.Reason, e.Cause)
	}
	return e.Addr + ": " + e.Reason
}

func (e *Foreign) Unwrap() error { return e.Cause }

// Guard makes and checks the beginnings of connections. A node has one; what
// else its process connects may use it too.
type Guard struct {
	keys   *keys // nil without TLS
	secret []byte
	role   byte
	logger *slog.Logger

	limit    int64        // incoming connections
	open     atomic.Int64 // incoming connections, those that shake hands included
	refusals atomic.Int64 // handshakes that end in "full"
}

func newGuard(cfg Config) (*Guard, error) {
	g := &Guard{secret: []byte(cfg.Secret), logger: cfg.Logger, limit: int64(cfg.Connections)}
	if cfg.Silo {
		g.role = roleSilo
	}
	if !cfg.TLS.IsZero() {
		var err error
		if g.keys, err = newKeys(cfg.TLS, cfg.Logger); err != nil {
			return nil, fmt.Errorf("actor: Config.TLS: %w", err)
		}
	}
	return g, nil
}

// identity is who is at the other end of a connection, as far as it was shown.
type identity struct {
	silo      bool
	principal string
}

// Dial begins a connection to another silo that is no node's, and returns what
// to use in place of conn. It takes over conn, which it closes on errors. The
// error is a [*Foreign] where the other end is no silo of this cluster.
func (g *Guard) Dial(conn net.Conn) (net.Conn, error) {
	out, who, err := g.dial(conn, logChannel, time.Now().Add(handshakeTime))
	if err == nil && !who.silo {
		err = &Foreign{Addr: conn.RemoteAddr().String(), Reason: "it is no silo"}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return out, nil
}

// Accept is the other end of [Guard.Dial].
func (g *Guard) Accept(conn net.Conn) (net.Conn, error) {
	in, channel, who, err := g.accept(conn)
	switch {
	case err != nil:
	case channel != logChannel:
		err = &Foreign{Addr: conn.RemoteAddr().String(), Reason: "it takes this port for another: compare addresses and ports"}
	case !who.silo:
		err = &Foreign{Addr: conn.RemoteAddr().String(), Reason: "it is no silo"}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return in, nil
}

// dial is the dialler's end. The returned connection has no deadline. It does
// not close conn.
func (g *Guard) dial(conn net.Conn, channel byte, until time.Time) (net.Conn, identity, error) {
	addr := conn.RemoteAddr().String()
	_ = conn.SetDeadline(until)
	if g.keys != nil {
		secure := tls.Client(conn, g.keys.config())
		ctx, cancel := context.WithDeadline(context.Background(), until)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, identity{}, foreignTLS(addr, err)
		}
		conn = secure
	}
	var hello [len(greeting) + 2 + nonceSize]byte
	n := copy(hello[:], greeting)
	hello[n], hello[n+1] = channel, g.role
	mine := hello[n+2:]
	_, _ = rand.Read(mine) // never fails: the program ends instead
	if _, err := conn.Write(hello[:]); err != nil {
		return nil, identity{}, foreignTLS(addr, err)
	}
	var answer [2 + nonceSize]byte
	if err := readVerdict(conn, addr, answer[:]); err != nil {
		return nil, identity{}, err
	}
	role, theirs := answer[1], answer[2:]
	who, err := g.identify(conn, addr, role)
	if err != nil {
		return nil, identity{}, err
	}
	said := transcript{channel, g.role, role, mine, theirs}
	if _, err := conn.Write(g.proof("dialler", said)); err != nil {
		return nil, identity{}, err
	}
	var last [1 + sha256.Size]byte
	if err := readVerdict(conn, addr, last[:]); err != nil {
		return nil, identity{}, err
	}
	if who.silo && g.role == roleSilo && !g.proves("acceptor", said, last[1:]) {
		return nil, identity{}, &Foreign{Addr: addr, Reason: "it does not know this cluster's secret: give all silos the same Secret"}
	}
	return conn, who, conn.SetDeadline(time.Time{})
}

// accept is the acceptor's end. The connection that it returns counts as open
// until it is closed. It does not close conn on errors.
func (g *Guard) accept(raw net.Conn) (_ net.Conn, channel byte, who identity, err error) {
	open := g.open.Add(1)
	full := open > g.limit
	defer func() {
		if err != nil {
			g.open.Add(-1)
		}
	}()
	addr := raw.RemoteAddr().String()
	if full {
		// Some are told why; a flood is not worth the work.
		if g.refusals.Add(1) > 64 {
			g.refusals.Add(-1)
			return nil, 0, who, g.full(addr)
		}
		defer g.refusals.Add(-1)
	}
	conn := raw
	_ = conn.SetDeadline(time.Now().Add(handshakeTime))
	if g.keys != nil {
		secure := tls.Server(conn, g.keys.config())
		if err := secure.Handshake(); err != nil {
			if errors.As(err, new(tls.RecordHeaderError)) { // in the words of who speaks none
				_, _ = raw.Write(append([]byte{verdictGreeting}, make([]byte, 1+nonceSize)...))
			}
			return nil, 0, who, foreignTLS(addr, err)
		}
		conn = secure
	}
	var hello [len(greeting) + 2 + nonceSize]byte
	if _, err := io.ReadFull(conn, hello[:]); err != nil {
		return nil, 0, who, fmt.Errorf("no greeting from %s: %w", addr, err)
	}
	var answer [2 + nonceSize]byte
	refuse := func(verdict byte, err error) (net.Conn, byte, identity, error) {
		answer[0] = verdict
		_, _ = conn.Write(answer[:])
		return nil, 0, identity{}, err
	}
	n := len(greeting)
	if string(hello[:n]) != greeting {
		return refuse(verdictGreeting, &Foreign{Addr: addr, Reason: "it does not speak this version's protocol; with TLS on one side only it would not either"})
	}
	channel, role, theirs := hello[n], hello[n+1], hello[n+2:]
	limit := g.limit
	if role != roleSilo { // clients do not keep silos out
		limit -= g.limit / 8
	}
	if full || open > limit {
		binary.BigEndian.PutUint32(answer[2:], uint32(min(limit, 1<<31)))
		return refuse(verdictFull, &LimitReached{What: "incoming connections, one more from " + addr, Limit: int(limit)})
	}
	if who, err = g.identify(conn, addr, role); err != nil {
		return refuse(verdictCertificate, err)
	}
	answer[0], answer[1] = verdictWelcome, g.role
	_, _ = rand.Read(answer[2:])
	if _, err := conn.Write(answer[:]); err != nil {
		return nil, 0, who, err
	}
	said := transcript{channel, role, g.role, theirs, answer[2:]}
	var proof [sha256.Size]byte
	if _, err := io.ReadFull(conn, proof[:]); err != nil {
		return nil, 0, who, fmt.Errorf("no proof from %s: %w", addr, err)
	}
	var last [1 + sha256.Size]byte
	if who.silo && g.role == roleSilo && !g.proves("dialler", said, proof[:]) {
		last[0] = verdictSecret
		_, _ = conn.Write(last[:])
		return nil, 0, who, &Foreign{Addr: addr, Reason: "it does not know this cluster's secret: give all silos the same Secret"}
	}
	last[0] = verdictWelcome
	copy(last[1:], g.proof("acceptor", said))
	if _, err := conn.Write(last[:]); err != nil {
		return nil, 0, who, err
	}
	return &counted{Conn: conn, guard: g}, channel, who, conn.SetDeadline(time.Time{})
}

func (g *Guard) full(addr string) error {
	return &LimitReached{What: "incoming connections, one more from " + addr, Limit: int(g.limit)}
}

// identify says who is at the other end, which says that it has that role.
func (g *Guard) identify(conn net.Conn, addr string, role byte) (identity, error) {
	who := identity{silo: role == roleSilo}
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return who, nil
	}
	cert := secure.ConnectionState().PeerCertificates[0]
	who.principal = principalOf(cert)
	if who.silo && !g.keys.isSilo(cert) {
		return identity{}, &Foreign{Addr: addr, Reason: fmt.Sprintf(
			"it says that it is a silo, and its certificate, of %q, does not bear the name %s that those of silos do", who.principal, g.keys.siloName)}
	}
	return who, nil
}

// transcript is what a proof is about.
type transcript struct {
	channel, dialler, acceptor    byte
	diallersNonce, acceptorsNonce []byte
}

func (g *Guard) proof(by string, t transcript) []byte {
	h := hmac.New(sha256.New, g.secret)
	h.Write([]byte("martinelli " + by))
	h.Write([]byte{0, t.channel, t.dialler, t.acceptor})
	h.Write(t.diallersNonce)
	h.Write(t.acceptorsNonce)
	return h.Sum(nil)
}

func (g *Guard) proves(by string, t transcript, proof []byte) bool {
	return subtle.ConstantTimeCompare(g.proof(by, t), proof) == 1
}

// readVerdict fills answer and says what its first byte means. A refusal may
// be shorter than answer.
func readVerdict(conn net.Conn, addr string, answer []byte) error {
	if n, err := io.ReadFull(conn, answer); err != nil && n == 0 {
		return foreignTLS(addr, fmt.Errorf("it accepts connections but does not answer: %w", err))
	} else if err != nil && answer[0] <= verdictGreeting {
		return fmt.Errorf("%s: %w", addr, err)
	}
	switch answer[0] {
	case verdictWelcome:
		return nil
	case verdictFull:
		return &LimitReached{What: "incoming connections of " + addr, Limit: int(binary.BigEndian.Uint32(answer[2:]))}
	case verdictSecret:
		return &Foreign{Addr: addr, Reason: "this silo does not know the secret of the cluster there: give all silos the same Secret"}
	case verdictCertificate:
		return &Foreign{Addr: addr, Reason: "this node says that it is a silo, and its certificate does not bear the name that those of silos do (TLS.SiloName)"}
	}
	return &Foreign{Addr: addr, Reason: "it does not speak this version's protocol; with TLS on one side only it would not either"}
}

// foreignTLS makes what TLS found a Foreign, and leaves what the network did.
func foreignTLS(addr string, err error) error {
	var verification *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &header):
		return &Foreign{Addr: addr, Reason: "it does not speak TLS: give TLS to both sides, or to neither", Cause: err}
	case errors.As(err, &verification), errors.Is(err, errNoCertificate):
		return &Foreign{Addr: addr, Reason: "its certificate is not one of this cluster's", Cause: err}
	case errors.As(err, &op) && op.Op == "remote error":
		return &Foreign{Addr: addr, Reason: "it refuses this node's certificate: is it of the same CA, and valid?", Cause: err}
	case isCertificate(err):
		return &Foreign{Addr: addr, Reason: "its certificate is not one of this cluster's", Cause: err}
	}
	return fmt.Errorf("%s: %w", addr, err)
}

// isCertificate says that err is about a certificate: what our own
// verification returns is not wrapped by package tls.
func isCertificate(err error) bool {
	return errors.As(err, new(x509.UnknownAuthorityError)) || errors.As(err, new(x509.CertificateInvalidError)) ||
		errors.As(err, new(x509.HostnameError))
}

// counted is an incoming connection until it is closed.
type counted struct {
	net.Conn
	guard *Guard
	once  sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.guard.open.Add(-1) })
	return c.Conn.Close()
}
