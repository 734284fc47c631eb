package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Types of records (RFC 1035, 3596, 2782).
const (
	typeA    = 1
	typeAAAA = 28
	typeSRV  = 33
)

// zone is a name server's content by name and type, each record as its data. The resolver under test is Go's
// own, which asks it over a stream in memory.
type zone map[string]map[uint16][]string

func (z zone) resolver() *net.Resolver {
	return resolverBy(func(query []byte) []byte { return z.answer(query) })
}

func resolverBy(answer func([]byte) []byte) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe() // no packet connection: messages have their length before them
		go func() {
			defer func() { _ = theirs.Close() }()
			for {
				var n [2]byte
				if _, err := io.ReadFull(theirs, n[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(n[:]))
				if _, err := io.ReadFull(theirs, query); err != nil {
					return
				}
				reply := answer(query)
				if _, err := theirs.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
					return
				}
			}
		}()
		return ours, nil
	}}
}

// answer answers a query of one question.
func (z zone) answer(query []byte) []byte {
	var labels []string
	i := 12
	for query[i] != 0 {
		labels = append(labels, string(query[i+1:i+1+int(query[i])]))
		i += 1 + int(query[i])
	}
	end := i + 5
	kind := binary.BigEndian.Uint16(query[i+1:])
	types, known := z[strings.Join(labels, ".")]
	records := types[kind]
	reply := append([]byte(nil), query[:2]...)
	code := byte(0)
	if !known {
		code = 3 // no such name
	}
	reply = append(reply, 0x84, code, 0, 1, 0, byte(len(records)), 0, 0, 0, 0)
	reply = append(reply, query[12:end]...)
	for _, data := range records {
		reply = append(reply, 0xc0, 12) // the name of the question
		reply = binary.BigEndian.AppendUint16(reply, kind)
		reply = append(reply, 0, 1, 0, 0, 0, 60)
		reply = binary.BigEndian.AppendUint16(reply, uint16(len(data)))
		reply = append(reply, data...)
	}
	return reply
}

func ip(s string) string { return string(netip.MustParseAddr(s).AsSlice()) }

func srv(port uint16, target string) string {
	b := binary.BigEndian.AppendUint16([]byte{0, 1, 0, 1}, port)
	for label := range strings.SplitSeq(target, ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return string(append(b, 0))
}

func TestDNS(t *testing.T) {
	t.Parallel()
	r := zone{
		"silos.test":            {typeA: {ip("10.0.0.2"), ip("10.0.0.1"), ip("10.0.0.2")}, typeAAAA: {ip("2001:db8::1")}},
		"empty.test":            {},
		"_silo._tcp.silos.test": {typeSRV: {srv(7010, "b.silos.test"), srv(7000, "a.silos.test"), srv(0, "none.test"), srv(1, "")}},
		"_none._tcp.silos.test": {typeSRV: {srv(1, "")}},
		"_odd._tcp.silos.test":  {typeSRV: {srv(7000, "a b.test"), srv(7000, "c.test")}},
	}.resolver()

	seeds, err := DNS{Name: "silos.test", Port: 7000, Resolver: r}.Seeds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"10.0.0.1:7000", "10.0.0.2:7000", "[2001:db8::1]:7000"}, seeds)

	seeds, err = SRV{Name: "_silo._tcp.silos.test", Resolver: r}.Seeds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a.silos.test:7000", "b.silos.test:7010"}, seeds)

	seeds, err = SRV{Name: "_odd._tcp.silos.test", Resolver: r}.Seeds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"c.test:7000"}, seeds, "what is no name is left out")

	for _, s := range []Source{
		DNS{Name: "empty.test", Port: 7000, Resolver: r}, DNS{Name: "nobody.test", Port: 7000, Resolver: r},
		SRV{Name: "_none._tcp.silos.test", Resolver: r}, SRV{Name: "_x._tcp.nobody.test", Resolver: r},
	} {
		_, err := s.Seeds(t.Context())
		var source *SourceError
		require.ErrorAs(t, err, &source, "%s", s)
		require.Equal(t, s.String(), source.Source)
		require.ErrorIs(t, err, ErrNone, "%s", s)
		require.ErrorContains(t, err, "wait until")
	}
}

// A name server that cannot be reached is not one that knows of no silo.
func TestNameServersThatAreAway(t *testing.T) {
	t.Parallel()
	away := errors.New("no way there")
	r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, away }}
	for _, s := range []Source{DNS{Name: "silos.test.", Port: 7000, Resolver: r}, SRV{Name: "_silo._tcp.silos.test.", Resolver: r}} {
		_, err := s.Seeds(t.Context())
		var source *SourceError
		require.ErrorAs(t, err, &source)
		require.NotErrorIs(t, err, ErrNone)
		require.ErrorContains(t, err, "name servers")
	}
}

// Whatever bytes a name server answers with, there are seeds that are addresses, or an error.
func TestHostileNameServer(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	good := zone{
		"silos.test":            {typeA: {ip("10.0.0.1")}, typeAAAA: {ip("::1")}},
		"_silo._tcp.silos.test": {typeSRV: {srv(7000, "a.test"), srv(7010, "b.test")}},
	}
	r := resolverBy(func(query []byte) []byte {
		reply := good.answer(query)
		for range 1 + random.IntN(4) {
			reply[2+random.IntN(len(reply)-2)] = byte(random.Uint32()) // the id is kept, so that it is looked at
		}
		return reply[:len(reply)-random.IntN(2)*random.IntN(len(reply))]
	})
	for range 200 {
		for _, s := range []Source{SRV{Name: "_silo._tcp.silos.test.", Resolver: serial{r}}, DNS{Name: "silos.test.", Port: 1, Resolver: serial{r}}} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			seeds, err := s.Seeds(ctx)
			cancel()
			if err != nil {
				require.ErrorAs(t, err, new(*SourceError), "seed %d", seed)
				continue
			}
			require.NotEmpty(t, seeds, "seed %d", seed)
			for _, addr := range seeds {
				_, _, err := splitAddress(addr)
				require.NoError(t, err, "seed %d", seed)
			}
		}
	}
}

// serial asks for one kind of address only, so that the random server is asked by one goroutine at a time.
type serial struct{ *net.Resolver }

func (s serial) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	return s.Resolver.LookupNetIP(ctx, "ip4", host)
}

// scripted answers with one step after the other, and with the last from then on.
type scripted struct {
	steps []func() ([]netip.Addr, error)
	asked []time.Time
}

func (s *scripted) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	s.asked = append(s.asked, time.Now())
	step := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	return step()
}

func (s *scripted) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, errors.New("not asked for")
}

// Changes are told, each once; an error does not end it, and is told once.
func TestWatchTellsChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ips := func(s ...string) func() ([]netip.Addr, error) {
			return func() (all []netip.Addr, err error) {
				for _, a := range s {
					all = append(all, netip.MustParseAddr(a))
				}
				return all, nil
			}
		}
		broken := func() ([]netip.Addr, error) { return nil, errors.New("broken") }
		r := &scripted{steps: []func() ([]netip.Addr, error){
			ips("10.0.0.1"), ips("10.0.0.1"), broken, broken, ips("10.0.0.1"), ips("10.0.0.2", "10.0.0.1"), ips("10.0.0.1", "10.0.0.2"), ips("10.0.0.3"),
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		var told []string
		for seeds, err := range (DNS{Name: "x", Port: 1, Every: 2 * time.Second, Resolver: r}).Watch(ctx) {
			if err != nil {
				require.ErrorContains(t, err, "broken")
				told = append(told, "broken")
				continue
			}
			told = append(told, strings.Join(seeds, " "))
		}
		require.Equal(t, []string{"10.0.0.1:1", "broken", "10.0.0.1:1", "10.0.0.1:1 10.0.0.2:1", "10.0.0.3:1"}, told)
		require.Equal(t, time.Minute, time.Since(began), "it ends with its context")
		require.Equal(t, 2*time.Second, r.asked[1].Sub(r.asked[0]))
	})
}

// A loop that is left asks no more.
func TestWatchEndsWithItsLoop(t *testing.T) {
	t.Parallel()
	for _, s := range []Source{Static{"a:1"}, DNS{Name: "x", Port: 1, Resolver: &scripted{steps: []func() ([]netip.Addr, error){
		func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("::1")}, nil },
	}}}} {
		for seeds, err := range s.Watch(t.Context()) {
			require.NoError(t, err)
			require.Len(t, seeds, 1)
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range (Static{"a:1"}).Watch(ctx) {
		cancel()
	}
}
