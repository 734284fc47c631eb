package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Resolver is the part of a [net.Resolver] that names are looked up by.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// resolveEvery is how old the answer of a name server may be where nothing else is said.
const resolveEvery = 5 * time.Second

// DNS yields every IPv4 and IPv6 address of a name, all with the same port.
type DNS struct {
	Name string
	Port uint16
	// Every is how often [DNS.Watch] asks again. Default 5 seconds.
	Every time.Duration
	// Resolver is asked. Default net.DefaultResolver.
	Resolver Resolver
}

// Seeds asks for A and AAAA records.
func (d DNS) Seeds(ctx context.Context) ([]string, error) {
	ips, err := resolver(d.Resolver).LookupNetIP(ctx, "ip", d.Name)
	if err != nil {
		return nil, unresolved(d, d.Name, err)
	}
	var seeds []string
	for _, ip := range ips[:min(len(ips), maxSeeds)] {
		seeds = append(seeds, netip.AddrPortFrom(ip.Unmap(), d.Port).String())
	}
	if len(seeds) == 0 {
		return nil, noRecords(d, d.Name, "A or AAAA")
	}
	return tidy(seeds), nil
}

// Watch asks again and again.
func (d DNS) Watch(ctx context.Context) iter.Seq2[[]string, error] {
	return poll(ctx, cmp.Or(max(d.Every, 0), resolveEvery), d)
}

func (d DNS) String() string {
	return "dns:" + net.JoinHostPort(d.Name, strconv.Itoa(int(d.Port)))
}

// SRV yields host and port of every SRV record of a name. Hosts stay names: whoever connects resolves them.
// Priorities and weights say nothing here, because every silo is as good as the others.
type SRV struct {
	// Name is that of the records: _service._protocol.name.
	Name string
	// Every is how often [SRV.Watch] asks again. Default 5 seconds.
	Every time.Duration
	// Resolver is asked. Default net.DefaultResolver.
	Resolver Resolver
}

// Seeds asks for SRV records. Those that hold no address, because they say that there is no such service or
// because they are malformed, are left out.
func (s SRV) Seeds(ctx context.Context) ([]string, error) {
	_, records, err := resolver(s.Resolver).LookupSRV(ctx, "", "", s.Name)
	if err != nil && len(records) == 0 { // with records, err is about others that were malformed
		return nil, unresolved(s, s.Name, err)
	}
	var seeds []string
	for _, r := range records {
		if r == nil || len(seeds) == maxSeeds {
			continue
		}
		addr := net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port)))
		if _, _, err := splitAddress(addr); err == nil {
			seeds = append(seeds, addr)
		}
	}
	if len(seeds) == 0 {
		return nil, noRecords(s, s.Name, "SRV")
	}
	return tidy(seeds), nil
}

// Watch asks again and again.
func (s SRV) Watch(ctx context.Context) iter.Seq2[[]string, error] {
	return poll(ctx, cmp.Or(max(s.Every, 0), resolveEvery), s)
}

func (s SRV) String() string { return "dns+srv:" + s.Name }

func resolver(r Resolver) Resolver {
	if r == nil {
		return net.DefaultResolver
	}
	return r
}

func noRecords(source fmt.Stringer, name, kind string) error {
	return &SourceError{source.String(), ErrNone, fmt.Sprintf("%s has no %s record that is of use: add one for each silo, or wait until they are ready", name, kind)}
}

// unresolved tells a name without records from a name server that does not answer.
func unresolved(source fmt.Stringer, name string, err error) error {
	var d *net.DNSError
	if errors.As(err, &d) && d.IsNotFound {
		return &SourceError{source.String(), fmt.Errorf("%w (%w)", ErrNone, err), fmt.Sprintf("check the spelling of %s, add its records, or wait until a silo is ready", name)}
	}
	return &SourceError{source.String(), err, "check that this machine reaches its name servers"}
}
