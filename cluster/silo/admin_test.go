package silo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
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
