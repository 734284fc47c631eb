package silo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
)

// Who may give orders has shown something, or is on the same machine.
func TestWhoOperates(t *testing.T) {
	t.Parallel()
	tls := TLS{Cert: "c", Key: "k", CA: "ca"}
	for what, c := range map[string]struct {
		config Config
		from   actor.Peer
		may    bool
	}{
		"a machine of its own":                       {Config{Listen: "127.0.0.1:1"}, actor.Peer{Addr: "127.0.0.1:9"}, true},
		"a network that is trusted":                  {Config{Listen: "10.0.0.1:1", TrustNetwork: true}, actor.Peer{Addr: "127.0.0.1:9"}, false},
		"who says that it is a silo":                 {Config{Listen: "10.0.0.1:1", TrustNetwork: true}, actor.Peer{Silo: true}, false},
		"the secret":                                 {Config{Listen: "10.0.0.1:1", Secret: "s"}, actor.Peer{Silo: true}, true},
		"no secret":                                  {Config{Listen: "127.0.0.1:1", Secret: "s"}, actor.Peer{Addr: "127.0.0.1:9"}, false},
		"a certificate":                              {Config{TLS: tls, Listen: "127.0.0.1:1"}, actor.Peer{Principal: "eve"}, false},
		"a certificate without a name":               {Config{TLS: tls, Operators: []string{""}}, actor.Peer{}, false},
		"an operator's certificate":                  {Config{TLS: tls, Operators: []string{"ops"}}, actor.Peer{Principal: "ops"}, true},
		"another's certificate":                      {Config{TLS: tls, Operators: []string{"ops"}}, actor.Peer{Principal: "eve"}, false},
		"a silo's certificate":                       {Config{TLS: tls}, actor.Peer{Silo: true, Principal: "silo-1"}, true},
		"an operator's certificate, beside a secret": {Config{TLS: tls, Secret: "s", Operators: []string{"ops"}}, actor.Peer{Principal: "ops"}, true},
	} {
		r := &run{config: c.config}
		require.Equal(t, c.may, r.operates(c.from), what)
		if !c.may {
			require.NotEmpty(t, r.denial(c.from), what)
		}
	}
	err := Config{Operators: []string{"ops"}}.check()
	require.ErrorContains(t, err, "Config.Operators")
}

// A removal must leave a majority of those that answer in both logs, whose voters may differ.
func TestNoLogLosesItsMajority(t *testing.T) {
	t.Parallel()
	now := time.Now()
	log := func(voters ...string) (m consensus.Members) {
		for _, id := range voters {
			member := consensus.Member{Server: consensus.Server{ID: id, Addr: id + ":2"}, Voter: true}
			if id != "self" && id != "dead" && id != "forgotten" {
				member.LastContact = now
			}
			m.List = append(m.List, member)
		}
		return m
	}
	since := now.Add(-time.Second)
	few := func(views, ledger consensus.Members) bool {
		_, few := minority("self", "gone", since, views, ledger)
		return few
	}
	all := log("self", "a", "gone")
	require.False(t, few(all, all))
	require.True(t, few(log("self", "dead", "gone"), all))
	require.True(t, few(all, log("self", "dead", "gone")), "the ledger stops")
	require.True(t, few(all, log("self", "forgotten", "gone")), "nobody hears of it any more")
	require.False(t, few(all, log("self", "a", "forgotten", "gone")))

	led := all
	led.List = append([]consensus.Member(nil), all.List...)
	led.List[1].LastContact = time.Time{} // another leads the ledger
	require.False(t, few(all, led), "the leader of the views hears it")
	missing, _ := minority("self", "gone", since, log("self", "dead", "gone"), log("dead", "gone"))
	require.Equal(t, []string{"dead:1"}, missing)
}
