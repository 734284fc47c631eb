package discovery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// broker starts a NATS server in this process, at a port of its own where none is given.
func broker(t *testing.T, port int, more ...func(*server.Options)) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	o := &server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true}
	for _, m := range more {
		m(o)
	}
	s, err := server.NewServer(o)
	require.NoError(t, err)
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	return s
}

func at(s *server.Server, name string) NATS {
	return NATS{Servers: []string{s.ClientURL()}, Name: name, TTL: time.Second}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestNATS(t *testing.T) {
	t.Parallel()
	s := broker(t, 0)
	ctx := within(t, 30*time.Second)
	parsed, err := Parse(s.ClientURL() + "/wine")
	require.NoError(t, err)

	for took := firstAnswer; took >= firstAnswer; { // a machine that is busy may take that long, but not each time
		began := time.Now()
		_, err = parsed.Seeds(ctx)
		require.ErrorIs(t, err, ErrNone)
		require.ErrorAs(t, err, new(*SourceError))
		require.NoError(t, ctx.Err(), "where nobody listens, nobody is waited for")
		took = time.Since(began)
	}

	n := at(s, "wine")
	for _, addr := range []string{"b:2", "a:1"} {
		withdraw, err := n.Announce(ctx, addr)
		require.NoError(t, err)
		defer func() { require.NoError(t, withdraw(ctx)) }()
	}
	_, err = at(s, "beer").Announce(ctx, "c:3")
	require.NoError(t, err)
	seeds, err := parsed.Seeds(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, seeds, "clusters do not mix")

	_, err = n.Announce(ctx, "no address")
	require.ErrorAs(t, err, new(*FormError))
}

// An announcement is for a life, which has no deadline.
func TestNATSWithoutADeadline(t *testing.T) {
	t.Parallel()
	n := at(broker(t, 0), "wine")
	withdraw, err := n.Announce(t.Context(), "a:1")
	require.NoError(t, err)
	seeds, err := n.Seeds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a:1"}, seeds)
	require.NoError(t, withdraw(t.Context()))
	_, err = n.Seeds(t.Context())
	require.ErrorIs(t, err, ErrNone)
}

// Who announces itself, withdraws, or dies, is told to those who watch; a death within a few TTLs.
func TestNATSIsWatched(t *testing.T) {
	t.Parallel()
	s := broker(t, 0)
	ctx := within(t, 30*time.Second)
	n := at(s, "wine")
	n.TTL = time.Minute // nobody but who is meant to dies, however busy the machine is
	var leave func(context.Context) error
	var killed *nats.Conn
	var told []string
	for seeds, err := range n.Watch(ctx) {
		told = append(told, strings.Join(seeds, " "))
		switch len(told) {
		case 1:
			require.ErrorIs(t, err, ErrNone)
			leave, err = n.Announce(ctx, "a:1")
			require.NoError(t, err)
		case 2: // a silo that says once that it is there, and is never heard again
			killed, err = nats.Connect(s.ClientURL())
			require.NoError(t, err)
			defer killed.Close()
			require.NoError(t, killed.Publish(n.subject("here"), []byte(`{"addr":"b:2","ttl_ms":1000}`)))
		case 4:
			require.NoError(t, leave(ctx))
			require.NoError(t, leave(ctx))
		}
		if len(told) == 5 {
			break
		}
	}
	require.Equal(t, []string{"", "a:1", "a:1 b:2", "a:1", ""}, told)
}

// A server that restarts is found again, by those who watch and by those who announce themselves; meanwhile
// the watcher is told that, and nobody is taken as gone.
func TestNATSComesBack(t *testing.T) {
	t.Parallel()
	s := broker(t, 0)
	port := s.Addr().(*net.TCPAddr).Port
	n := at(s, "wine")
	ctx := within(t, 60*time.Second)
	withdraw, err := n.Announce(ctx, "a:1")
	require.NoError(t, err)
	var told []string
	for seeds, err := range n.Watch(ctx) {
		told = append(told, strings.Join(seeds, " "))
		switch len(told) {
		case 1:
			s.Shutdown()
			s.WaitForShutdown()
		case 2:
			require.ErrorContains(t, err, "the connection is broken")
			broker(t, port)
		case 3:
			seeds, err := n.Seeds(ctx)
			for err != nil && ctx.Err() == nil { // the announcer comes back when it comes back
				seeds, err = n.Seeds(ctx)
			}
			require.Equal(t, []string{"a:1"}, seeds)
		}
		if len(told) == 3 {
			break
		}
	}
	require.Equal(t, []string{"a:1", "", "a:1"}, told)
	require.NoError(t, withdraw(ctx))
}

func TestNATSThatIsAway(t *testing.T) {
	t.Parallel()
	n := NATS{Servers: []string{"nats://127.0.0.1:1"}, Name: "wine"}
	_, err := n.Seeds(within(t, 10*time.Second))
	require.ErrorAs(t, err, new(*SourceError))
	require.ErrorContains(t, err, "nats://127.0.0.1:1/wine")
	require.ErrorContains(t, err, "check the addresses")
	_, err = n.Announce(within(t, 10*time.Second), "a:1")
	require.ErrorAs(t, err, new(*SourceError))
	_, err = NATS{}.Seeds(t.Context())
	require.ErrorAs(t, err, new(*SourceError))

	// A server that takes connections and says nothing holds nobody up for longer than he wants.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	began := time.Now()
	_, err = NATS{Servers: []string{"nats://" + silent.Addr().String()}, Name: "wine"}.Seeds(within(t, 100*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), connectTimeout)
}

// Who may not use the subjects is told so.
func TestNATSRefuses(t *testing.T) {
	t.Parallel()
	s := broker(t, 0, func(o *server.Options) {
		o.Users = []*server.User{{Username: "me", Password: "secret", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"martinelli.>"}},
		}}}
	})
	ctx := within(t, 30*time.Second)
	_, err := at(s, "wine").Seeds(ctx)
	require.ErrorContains(t, err, "Authorization")
	n := NATS{Servers: []string{strings.Replace(s.ClientURL(), "nats://", "nats://me:secret@", 1)}, Name: "wine"}
	_, err = n.Seeds(ctx)
	require.ErrorContains(t, err, "ermissions")
	require.NotContains(t, err.Error(), "secret")
	_, err = n.Announce(ctx, "a:1")
	require.ErrorContains(t, err, "ermissions")
}

// Messages from anybody, on every subject that is listened to, neither stop the listener nor grow it.
func TestNATSHearsRubbish(t *testing.T) {
	t.Parallel()
	s := broker(t, 0)
	n := at(s, "wine")
	ctx := within(t, 30*time.Second)
	withdraw, err := n.Announce(ctx, "a:1")
	require.NoError(t, err)
	defer func() { require.NoError(t, withdraw(ctx)) }()
	// Anybody can withdraw a silo by its address. So that chance does not, this is of another one: so long that
	// no few changes make it a:1.
	const valid = `{"addr":"rubbish.test:10000","ttl_ms":1000}`
	hostile, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	defer hostile.Close()
	seed := rand.Uint64()
	questions, answers := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1)) // made by two goroutines
	rubbish := func(random *rand.Rand) []byte {
		b := []byte(valid)
		for range 1 + random.IntN(4) {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		if random.IntN(10) == 0 {
			b = make([]byte, random.IntN(8<<10))
		}
		return b
	}
	_, err = hostile.Subscribe(n.subject("who"), func(m *nats.Msg) { // answers that are none
		for range 50 {
			_ = m.Respond(rubbish(answers))
		}
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"503"}}})
	})
	require.NoError(t, err)
	for range 500 { // and questions that are none
		require.NoError(t, hostile.Publish(n.subject("who"), rubbish(questions)))
		require.NoError(t, hostile.PublishRequest(n.subject("who"), n.subject("who"), rubbish(questions)))
	}
	require.NoError(t, hostile.Flush())
	for found := false; !found; { // who is busy with questions answers late, and then others are all that was heard
		seeds, err := n.Seeds(ctx)
		require.NoError(t, ctx.Err(), "seed %d: a:1 is not heard: %v, %v", seed, seeds, err)
		for _, addr := range seeds {
			_, _, err := splitAddress(addr)
			require.NoError(t, err, "seed %d", seed)
		}
		found = slices.Contains(seeds, "a:1")
	}

	l := &listener{source: n, known: map[string]known{}}
	for i := range 2 * maxSeeds {
		l.hear(&nats.Msg{Data: fmt.Appendf(nil, `{"addr":"evil-%d:1","ttl_ms":9223372036854775807}`, i)})
	}
	require.Len(t, l.known, maxSeeds)
	for _, k := range l.known {
		require.LessOrEqual(t, k.ttl, longestTTL)
	}
}

// What is incomplete withdraws nobody.
func TestOnlyAZeroWithdraws(t *testing.T) {
	t.Parallel()
	l := &listener{known: map[string]known{}}
	hear := func(data string) int {
		l.hear(&nats.Msg{Data: []byte(data)})
		return len(l.known)
	}
	require.Equal(t, 1, hear(`{"addr":"a:1","ttl_ms":1000}`))
	for _, data := range []string{`{"addr":"a:1"}`, `{"addr":"a:1","ttl_mX":1000}`, `{"addr":"a:1","ttl_ms":null}`, `{"addr":"a:1","ttl_ms":-1}`} {
		require.Equal(t, 1, hear(data), data)
	}
	require.Equal(t, 0, hear(`{"addr":"a:1","ttl_ms":0}`))
}

// Who was busy for longer than a TTL hears what was said meanwhile before it forgets anybody.
func TestNobodyIsForgottenUnheard(t *testing.T) {
	t.Parallel()
	past := known{shortestTTL, time.Now().Add(-time.Hour)}
	l := &listener{heard: make(chan *nats.Msg, 1), known: map[string]known{"a:1": past, "b:2": past}}
	l.heard <- &nats.Msg{Data: []byte(`{"addr":"a:1","ttl_ms":1000000}`)}
	l.forget()
	seeds, err := l.seeds()
	require.NoError(t, err)
	require.Equal(t, []string{"a:1"}, seeds)
}
