package actor

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Peers that are killed, or whose memory is counted, are children: this test
// binary, run with childEnv.
const childEnv = "MARTINELLI_ACTOR_TEST_CHILD"

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if addr, ok := os.LookupEnv(childEnv); ok {
		os.Exit(child(addr))
	}
	os.Exit(m.Run())
}

// child serves at addr until its standard input ends, and says where.
func child(addr string) int {
	cfg := childConfig{}
	if err := json.Unmarshal([]byte(os.Getenv(childConfigEnv)), &cfg); err != nil {
		fmt.Println("error", err)
		return 1
	}
	n, err := Start(cfg.apply(Config{Addr: addr, Limit: testLimit}))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	testServices(n)
	fmt.Println("ready", n.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if n.Stop(ctx) != nil {
		return 2
	}
	return 0
}

const childConfigEnv = childEnv + "_CONFIG"

// childConfig is what a test may ask of a child.
type childConfig struct {
	TLS                                          TLS
	Secret                                       string
	Silo                                         bool
	Connections, PeerServing                     int
	BulkLimit, BulkBytes, BulkRate, PeerInFlight int
}

func (c childConfig) apply(to Config) Config {
	to.TLS, to.Secret, to.Silo, to.Connections, to.PeerServing = c.TLS, c.Secret, c.Silo, c.Connections, c.PeerServing
	to.BulkLimit, to.BulkBytes, to.BulkRate, to.PeerInFlight = c.BulkLimit, c.BulkBytes, c.BulkRate, c.PeerInFlight
	return to
}

type process struct {
	*exec.Cmd
	addr  string
	stdin io.Closer
}

// spawn starts a child at addr and waits until it serves.
func spawn(t testing.TB, addr string) *process {
	t.Helper()
	return spawnWith(t, addr, childConfig{})
}

func spawnWith(t testing.TB, addr string, cfg childConfig) *process {
	t.Helper()
	encoded, err := json.Marshal(cfg)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+addr, childConfigEnv+"="+string(encoded))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	require.Equal(t, "ready", word, rest)
	return &process{cmd, rest, stdin}
}

// here is the node over TCP that most tests share.
var here = sync.OnceValues(func() (*Node, error) {
	n, err := Start(Config{Addr: "127.0.0.1:0", Limit: testLimit})
	if err == nil {
		callerServices(n)
	}
	return n, err
})

func local(t *testing.T) *Node {
	t.Helper()
	n, err := here()
	require.NoError(t, err)
	return n
}

// eachTransport runs a test body with a node and the address of a peer that
// has testServices, in memory and between processes.
func eachTransport(t *testing.T, body func(t *testing.T, n *Node, peer string)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		_, a, b := pair(t, Config{Limit: testLimit}, Config{Limit: testLimit})
		callerServices(a)
		testServices(b)
		body(t, a, b.Addr())
	})
	t.Run("tcp", func(t *testing.T) {
		t.Parallel()
		body(t, local(t), spawn(t, "127.0.0.1:0").addr)
	})
}

var discard = slog.New(slog.DiscardHandler)

const testLimit = 256 << 10

const (
	echo      Service = iota + 1
	hang              // until the context ends
	hung              // waits until as many hangs as the payload says have ended
	fail              // with the payload's text
	failWire          // with the payload as wire error
	panics            // with the payload
	refuse            // with the payload
	big               // answers as many bytes as the payload says
	remaining         // nanoseconds of the deadline
	ordered           // notifications; request: waits for as many as the payload says
	callBack          // asks the caller's echo
	pid               // the peer's incarnation
	whoami            // what the peer knows of the caller
	mallocs           // how many allocations the peer has made
)

type wireError struct{ payload []byte }

func (e *wireError) Error() string     { return "wire error" }
func (e *wireError) WireError() []byte { return e.payload }

func callerServices(n *Node) {
	handle(n, echo, func(_ context.Context, _ Peer, p []byte) ([]byte, error) { return p, nil })
}

// on is a test's service on a channel.
func on(ch Channel, s Service) Service { return Service(ch)<<channelShift | s }

// handle serves s on every channel.
func handle(n *Node, s Service, h Handler) {
	for ch := range channels {
		n.Handle(on(ch, s), h)
	}
}

func testServices(n *Node) {
	callerServices(n)
	var mu sync.Mutex
	changed := sync.NewCond(&mu)
	hangs, seen, disorder := 0, 0, 0
	await := func(count *int, p []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		for *count < int(binary.BigEndian.Uint64(p)) {
			changed.Wait()
		}
		return number(disorder), nil
	}
	handle(n, hang, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
		<-ctx.Done()
		mu.Lock()
		defer mu.Unlock()
		hangs++
		changed.Broadcast()
		return nil, ctx.Err()
	})
	handle(n, hung, func(_ context.Context, _ Peer, p []byte) ([]byte, error) { return await(&hangs, p) })
	handle(n, fail, func(_ context.Context, _ Peer, p []byte) ([]byte, error) { return nil, errors.New(string(p)) })
	handle(n, failWire, func(_ context.Context, _ Peer, p []byte) ([]byte, error) {
		return nil, fmt.Errorf("wrapped: %w", &wireError{p})
	})
	handle(n, panics, func(_ context.Context, _ Peer, p []byte) ([]byte, error) { panic(string(p)) })
	handle(n, refuse, func(_ context.Context, _ Peer, p []byte) ([]byte, error) { return nil, Refuse(string(p)) })
	handle(n, big, func(_ context.Context, _ Peer, p []byte) ([]byte, error) {
		return make([]byte, binary.BigEndian.Uint64(p)), nil
	})
	handle(n, remaining, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
		d, _ := ctx.Deadline()
		return number(int(time.Until(d))), nil
	})
	for ch := range channels {
		n.HandleNotify(on(ch, ordered), func(_ Peer, p []byte) {
			mu.Lock()
			defer mu.Unlock()
			if int(binary.BigEndian.Uint64(p)) != seen {
				disorder++
			}
			seen++
			changed.Broadcast()
		})
	}
	handle(n, ordered, func(_ context.Context, _ Peer, p []byte) ([]byte, error) { return await(&seen, p) })
	handle(n, callBack, func(ctx context.Context, from Peer, p []byte) ([]byte, error) {
		return n.RequestPeer(ctx, from, echo, p)
	})
	handle(n, pid, func(context.Context, Peer, []byte) ([]byte, error) { return number(int(n.Incarnation() >> 1)), nil })
	handle(n, whoami, func(_ context.Context, from Peer, _ []byte) ([]byte, error) {
		return fmt.Appendf(nil, "silo %v principal %q", from.Silo, from.Principal), nil
	})
	handle(n, mallocs, func(context.Context, Peer, []byte) ([]byte, error) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return number(int(m.Mallocs)), nil
	})
}

func number(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
